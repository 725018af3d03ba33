"""`bdmta audit` as an operator uses it, with the office and without."""

import json
import sqlite3

from tests.site import DOMAIN

MINH = f"minhnv@{DOMAIN}"


def test_the_log_is_kept_verified_and_anchored(own_site, tmp_path):
    site = own_site({"dns": {"servers": "[]"}})
    site.run("mailbox", "suspend", MINH, "--grounds", "Công văn số 12/SNV ngày 28/11/2026")
    site.run("mailbox", "password", MINH, "--password-stdin", stdin="Bi-mat-tuyet-doi-2026\n")
    secret = site.json("mailbox", "app-password", "add", MINH, "--label", "Điện thoại")["password"]
    site.run("audit", "head", "--out", str(tmp_path / "heads"))

    site.start()
    site.run("--grounds", "x", "mailbox", "list", check=False)  # an option of commands that administer only
    site.run("mailbox", "resume", MINH, "--reason", "Đã xong")
    site.run("audit", "head", "--out", str(tmp_path / "heads"))
    acts = site.json("audit", "list", "--subject", MINH)
    assert [(act["action"], act["grounds"]) for act in acts[:2]] == [
        ("mailbox.active", "Đã xong"), ("app-password.add", ""),
    ]  # fmt: skip
    assert acts[3]["grounds"] == "Công văn số 12/SNV ngày 28/11/2026"
    assert (acts[3]["before"], acts[3]["after"]) == ({"status": "active"}, {"status": "suspended"})
    assert "unbroken" in site.run("audit", "verify", "--anchor", str(tmp_path / "heads")).stdout

    exported = site.run("audit", "export", "--format", "jsonl").stdout
    everything = exported + json.dumps(acts)
    assert "Bi-mat" not in everything and secret not in everything and secret.replace("-", "") not in everything
    lines = exported.splitlines()
    (tmp_path / "export.jsonl").write_text("\n".join(lines))
    assert "unbroken" in site.run("audit", "verify", "--file", str(tmp_path / "export.jsonl")).stdout
    (tmp_path / "export.jsonl").write_text(
        "\n".join([*lines[:2], lines[2].replace('"mailbox.add"', '"mailbox.set"'), *lines[3:]])
    )
    assert site.run("audit", "verify", "--file", str(tmp_path / "export.jsonl"), check=False).returncode == 1
    site.stop()

    conn = sqlite3.connect(site.folder / "db" / "directory.sqlite")
    conn.executescript("DROP TRIGGER audit_is_fixed; UPDATE audit SET actor = 'ai do' WHERE id = 4;")
    conn.close()
    found = site.run("audit", "verify", "--json", check=False)
    assert (found.returncode, json.loads(found.stdout)["line"]) == (1, 4)
    assert "line 4" in site.run("audit", "verify", check=False).stderr
