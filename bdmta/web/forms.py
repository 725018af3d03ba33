"""Forms: read within bounds, and taken only from our own pages."""

from __future__ import annotations

import hmac
from urllib.parse import parse_qsl, urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request

_FIELDS = 30
CSRF = "csrf"


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form, each once; the guard bounds the body. 400 or 415 for what is none, 403 from elsewhere."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise HTTPException(415, "Biểu mẫu không đúng dạng.")
    refuse_other_sites(request)
    body = await request.body()
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, strict_parsing=bool(body), errors="strict",
            max_num_fields=_FIELDS,
        )  # fmt: skip
    except ValueError:
        raise HTTPException(400, "Biểu mẫu không đọc được.") from None
    fields = dict(pairs)
    if len(fields) != len(pairs) or any("\0" in value for value in fields.values()):
        raise HTTPException(400, "Biểu mẫu không đọc được.")
    return fields


def refuse_other_sites(request: Request) -> None:
    """403 when the browser says that another site's page sent this (Fetch metadata, Origin)."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise HTTPException(403, "Yêu cầu đến từ trang khác.")
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host", ""):
        raise HTTPException(403, "Yêu cầu đến từ trang khác.")


def check_csrf(fields: dict[str, str], wanted: str) -> None:
    """403 unless the form bears the word of its session."""
    if not wanted or not hmac.compare_digest(fields.get(CSRF, "").encode(), wanted.encode()):
        raise HTTPException(403, "Biểu mẫu đã cũ, xin tải lại trang và thử lại.")
