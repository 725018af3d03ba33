"""The notice on paper: A4, in the administration's layout, number and signature left blank."""

from __future__ import annotations

import os
from typing import Any

from bdmta import printing
from bdmta.config.shipped import shipped
from bdmta.outage.notice import Announcement, Notice
from bdmta.outage.texts import Texts

TEMPLATE = "notice.typ"


def print_notice(texts: Texts, folder: str, notice: Notice, said: Announcement) -> bytes:
    """The PDF of an announcement, in Vietnamese. PrintingError when the template (the site's, else ours) is wrong."""
    return printing.pdf(template_path(folder), content(texts, notice, said))


def template_path(folder: str) -> str:
    """The site's template, or the shipped one."""
    own = os.path.join(folder, TEMPLATE)
    return own if os.path.exists(own) else shipped("notices", TEMPLATE)


def check_template(folder: str) -> None:
    """PrintingError when the template cannot be set. Tries it, with words that stand for nothing."""
    sample = dict.fromkeys(
        ("superior", "name", "symbol", "signer", "dated", "heading", "about", "basis", "closing"), "Ữ"
    )
    items = [{"label": "x", "value": "x", "strong": True}]
    printing.pdf(template_path(folder), {**sample, "id": "x", "url": "", "recipients": ["x"], "items": items})


def content(texts: Texts, notice: Notice, said: Announcement) -> dict[str, Any]:
    """What the template gets. Pure."""
    values, office = texts.values("vi", notice, said), texts.office
    about = "closed" if said.kind in ("closed", "report") else "planned" if notice.is_planned else "open"
    day = texts.local(said.at)

    def label(key: str) -> str:
        return texts.label("vi", key)

    items = [("Nội dung", values["what"], False), (label("scope"), values["scope"], False)]
    items.append((label("start"), values["start"], True))
    if said.kind in ("closed", "report"):
        items += [(label("ended"), values["ended"], True), (label("lasted"), values["lasted"], False)]
    else:
        items.append((label("until_passed" if said.kind == "overdue" else "until"), values["until"], True))
    if values["done"]:
        items.append(("Biện pháp khắc phục" if said.kind != "cancelled" else "Lý do huỷ", values["done"], False))
    return {
        "superior": office["superior"], "name": office["name"], "symbol": office["symbol"], "signer": office["signer"],
        "dated": f"{office['place']}, ngày {day:%d} tháng {day:%m} năm {day:%Y}",
        "recipients": list(office["recipients"]), "heading": texts.say("vi", "print", "heading", values),
        "about": texts.say("vi", "print", f"about_{about}", values), "basis": texts.say("vi", "print", "basis", values),
        "closing": texts.say("vi", "print", "closing", values), "id": notice.id, "url": values["url"],
        "items": [{"label": name, "value": value.rstrip(".;"), "strong": strong} for name, value, strong in items],
    }  # fmt: skip
