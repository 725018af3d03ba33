"""The base subject of a letter, by which SORT and THREAD put answers to their letters (RFC 5256 §2.1)."""

from __future__ import annotations

import re

_SPACES = re.compile(r"\s+")
_TRAILER = re.compile(r"(?:\s|\(fwd\))+\Z", re.IGNORECASE)
_BLOB = re.compile(r"\[[^\[\]]*\]\s*")
_LEADER = re.compile(r"(?:\[[^\[\]]*\]\s*)*(?:re|fwd?)\s*(?:\[[^\[\]]*\]\s*)?:\s*", re.IGNORECASE)
_FWD = re.compile(r"\[fwd:(.*)\]\Z", re.IGNORECASE | re.DOTALL)
_STEPS_MAX = 50


def base_subject(subject: str) -> tuple[str, bool]:
    """Return (base subject, whether it was an answer or forward) of a decoded subject; bounded and linear enough."""
    text = _SPACES.sub(" ", subject[:4096]).strip()
    is_reply = False
    for _ in range(_STEPS_MAX):
        before = text
        trimmed = _TRAILER.sub("", text) if text[-1:] in " )" else text
        is_reply = is_reply or len(trimmed.rstrip()) != len(text.rstrip())
        text = trimmed.lstrip()
        leader = _LEADER.match(text)
        if leader is not None:
            text = text[leader.end() :]
            is_reply = True
        elif (blob := _BLOB.match(text)) is not None and blob.end() < len(text) and not _FWD.fullmatch(text):
            text = text[blob.end() :]
        elif (forwarded := _FWD.fullmatch(text)) is not None:
            text = forwarded[1].strip()
            is_reply = True
        if text == before:
            break
    return text, is_reply
