"""Who leaves is out of the published address book within a minute, with nobody doing anything."""

import json

import pytest

from tests.site import DOMAIN


@pytest.mark.slow
def test_who_leaves_is_out_of_it_by_itself(own_site, tmp_path):
    folder = tmp_path / "www"
    site = own_site({"dns": {"servers": "[]"}, "addressbook": {"targets": f'["{folder}"]'}})
    site.run("mailbox", "set", f"minhnv@{DOMAIN}", "--published")
    site.start()
    listed = folder / "addressbook.json"
    site.wait_for(lambda: listed.exists() and "minhnv" in listed.read_text(), 60)
    site.run("mailbox", "suspend", f"minhnv@{DOMAIN}", "--grounds", "nghỉ việc")
    site.wait_for(lambda: "minhnv" not in listed.read_text(), 60)
    site.wait_for(lambda: json.loads((folder / "manifest.json").read_text())["changes"]["removed"] == 1)
    assert "minhnv" not in (folder / "index.html").read_text()
    (one,) = site.json("addressbook", "status")
    assert (one["target"], one["error"]) == (str(folder), "")
    assert site.run("addressbook", "publish").stdout.startswith("nothing to publish")
