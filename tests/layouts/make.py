"""Write the fixture of today's layout: a small site that has served, with letters, flags, a held letter, a backup."""

import imaplib
import shutil
import smtplib
import tarfile
import tempfile
from pathlib import Path

from bdmta.site import LAYOUT
from tests.site import DOMAIN, PASSWORDS, SiteUnderTest

HERE = Path(__file__).parent
LEFT_OUT = {"index", "run", "state", "test.log", "office.lock"}
SPOOF = b'From: "sotttt@binhduong.gov.vn" <a@evil.example>\r\nTo: x\r\nSubject: held\r\n\r\nheld\r\n'


def main() -> None:
    target = HERE / f"layout-{LAYOUT}.tar.gz"
    if target.exists():
        raise SystemExit(f"{target} is there: what was released is never made again")
    top = Path(tempfile.mkdtemp())
    site = SiteUnderTest(
        top, {"dns": {"servers": "[]"}, "quarantine": {"delivery": '"hold"'}, "backup": {"schedule": '""'}}
    )
    site.start()
    try:
        with smtplib.SMTP("127.0.0.1", site.port("smtp")) as client:
            for number in range(3):
                text = f"From: a@x.example\r\nSubject: s\r\nMessage-ID: <{number}@layout>\r\n\r\nThư số {number}\r\n"
                client.sendmail("a@x.example", [f"minhnv@{DOMAIN}", f"khaintm@{DOMAIN}"], text.encode())
            client.sendmail("a@evil.example", [f"minhnv@{DOMAIN}"], SPOOF)
        with imaplib.IMAP4_SSL("localhost", site.port("imaps"), ssl_context=site.tls()) as client:
            client.login(f"minhnv@{DOMAIN}", PASSWORDS["minhnv"])
            client.select("INBOX")
            client.store("1", "+FLAGS", r"(\Seen $Label)")
            client.create("&AxEA4Q-")
            client.copy("2", "&AxEA4Q-")
        site.run("backup", "run")
    finally:
        site.stop()
    with tarfile.open(target, "w:gz") as archive:
        for path in sorted(site.folder.iterdir()):
            if path.name not in LEFT_OUT:
                archive.add(path, f"site/{path.name}", filter=_plain)
    shutil.rmtree(top)


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return None if entry.name.endswith((".lock", "-wal", "-shm")) else entry


if __name__ == "__main__":
    main()
