"""Who keeps the plain address (Điều 5.4): rank first, then the time of registration; nobody loses an address in use."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace

from bdmta.naming.fold import fold, is_plain
from bdmta.naming.proposal import Proposal, refused

EXTENSION_LETTERS_MAX = 6
_EXTENSION = re.compile(r"[a-z]{1,6}")
_SMALL_MIDDLES = ("van", "thi")  # so common that they part nobody


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """An address that is not free: by whom, in words, and the rank of a person (1 is the highest; None unknown).

    `kind`: mailbox, alias, group, agency, role, or retired (at rest; `who` says until when).
    """

    local_part: str
    who: str = ""
    rank: int | None = None
    kind: str = "mailbox"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """One who asks for an address: the proposal from the name, rank, when it was registered (sortable), extension.

    `names`: the words of the name, to make an extension of when none was given.
    """

    proposal: Proposal
    rank: int | None = None
    registered: str = ""
    extension: str = ""
    names: tuple[str, ...] = ()


def extension_fault(extension: str, agencies: Container[str]) -> tuple[str, str] | None:
    """Why `extension` cannot be one: code and reason; None when it can (Điều 5.4: up to 6 letters, no agency's name).

    Compared with agencies' whole identifiers: `.dian` passes though UBND Dĩ An is an agency, `ubnddian`.
    """
    if any(char.isnumeric() for char in extension):
        return "extension-digit", f".{extension}: phần mở rộng không được có chữ số (Điều 5.4)"
    if not is_plain(extension):
        return "extension-sign", f".{extension}: phần mở rộng chỉ gồm chữ cái a-z không dấu (Điều 5.4)"
    if len(extension) > EXTENSION_LETTERS_MAX:
        return "extension-too-long", f".{extension}: phần mở rộng dài quá {EXTENSION_LETTERS_MAX} chữ cái (Điều 5.4)"
    if extension in agencies:
        return (
            "extension-is-agency",
            f".{extension}: là tên viết tắt của một cơ quan, không dùng làm phần mở rộng (Điều 5.4)",
        )
    return None


def place(
    pending: Pending,
    holder: Callable[[str], Held | None],
    agencies: Container[str] = (),
    *,
    names: Sequence[str] = (),
) -> Proposal:
    """The address that `pending` gets beside those who have theirs. `holder` tells who has a local part, or None.

    A free plain address is given as it is, an extension then not needed. `names`: words to make an extension of when
    none was given; the result is then `review`, as it is when a higher rank comes after a lower one.
    """
    extension = pending.extension.strip().removeprefix(".").lower()
    if pending.proposal.local_part is None:
        return pending.proposal
    fault = extension_fault(extension, agencies) if extension else None
    if fault:
        return refused(*fault, steps=pending.proposal.steps)
    base = pending.proposal.local_part
    held = holder(base)
    if held is None:
        free = pending.proposal.with_steps(f"{base}: chưa ai dùng")
        return free.with_steps(f"không cần phần mở rộng .{extension}: chỉ dùng khi trùng") if extension else free
    found = pending.proposal.with_steps(f"{base}: {_said(held)}")
    if extension:
        return _extended(found, f"{base}.{extension}", held, pending.rank, holder)
    return _suggested(found, base, held, pending.rank, holder, agencies, names)


def _extended(
    found: Proposal, wanted: str, held: Held, rank: int | None, holder: Callable[[str], Held | None]
) -> Proposal:
    other = holder(wanted)
    if other is not None:
        return refused("extension-taken", f"{wanted}: {_said(other)}; hãy thống nhất phần mở rộng khác", found.steps)
    made = replace(found.with_steps(f"thêm phần mở rộng: {wanted}"), local_part=wanted)
    return _decision(made, held) if _outranks(rank, held) else made


def _suggested(
    found: Proposal,
    base: str,
    held: Held,
    rank: int | None,
    holder: Callable[[str], Held | None],
    agencies: Container[str],
    names: Sequence[str],
) -> Proposal:
    free = next(
        (
            extension
            for extension in _extensions(names)
            if extension_fault(extension, agencies) is None and holder(f"{base}.{extension}") is None
        ),
        None,
    )
    if free is None:
        return refused("extension-needed", f"{base}: {_said(held)}; cần phần mở rộng (Điều 5.4)", found.steps)
    made = replace(found.with_steps(f"gợi ý phần mở rộng: {base}.{free}"), local_part=f"{base}.{free}")
    if _outranks(rank, held):
        return _decision(made, held)
    code = {"retired": "at-rest", "role": "reserved", "agency": "reserved"}.get(held.kind, "taken")
    reason = f"{base}: {_said(held)}; cần thống nhất phần mở rộng với người sử dụng (Điều 5.4)"
    return replace(made, status="review", code=code, reason=reason)


def _outranks(rank: int | None, held: Held) -> bool:
    return held.kind == "mailbox" and rank is not None and held.rank is not None and rank < held.rank


def _decision(made: Proposal, held: Held) -> Proposal:
    """A higher rank that comes later: the operator decides, nobody is moved by this program."""
    base = held.local_part
    return replace(
        made,
        status="review",
        code="higher-rank",
        reason=f"người đến sau có chức vụ cao hơn người đang dùng {base} ({held.who or 'đã đăng ký trước'}); "
        "địa chỉ đang dùng không bị thu hồi, người vận hành quyết định (Điều 5.4)",
        choices=(
            f"cấp {made.local_part} cho người đến sau; {base} giữ nguyên cho người đang dùng",
            f"nếu người đang dùng {base} đồng ý đổi (yêu cầu thay đổi theo Điều 7): hộp thư cũ nhận địa chỉ mới "
            f"{base}.…, {base} ở lại làm bí danh của hộp thư cũ, hết 12 tháng nghỉ mới có thể cấp cho người khác",
        ),
    )


def _said(held: Held) -> str:
    words = {"retired": "đang nghỉ, chưa cấp lại", "role": "dành riêng theo RFC 2142", "agency": "là của một cơ quan"}
    what = words.get(held.kind, "đã có người dùng")
    rank = f", cấp bậc {held.rank}" if held.rank is not None else ""
    return f"{what} ({held.who}{rank})" if held.who else what


def _extensions(names: Sequence[str]) -> list[str]:
    """Candidates from the words of a name, those that tell most first: the middle names, then the surname."""
    words = [re.sub("[^a-z]", "", fold(word))[:EXTENSION_LETTERS_MAX] for word in names]
    telling = [word for word in words[1:-1] if word not in _SMALL_MIDDLES]
    common = [word for word in words[1:-1] if word in _SMALL_MIDDLES]
    return [word for word in dict.fromkeys([*telling, *words[:1], *common]) if _EXTENSION.fullmatch(word)]


def allocate(requests: Sequence[Pending], taken: Mapping[str, Held], agencies: Container[str] = ()) -> list[Proposal]:
    """Addresses for requests that are pending together, in the order of `requests`.

    Among themselves rank comes first, then the time of registration, then the order given; one without a rank comes
    after all that have one. Against `taken` none of them wins: an address in use stays where it is.
    """
    held = dict(taken)
    answers: dict[int, Proposal] = {}
    for number in sorted(range(len(requests)), key=lambda number: _precedence(requests[number], number)):
        one = requests[number]
        answer = answers[number] = place(one, held.get, agencies, names=one.names)
        if answer.local_part is not None and answer.status != "error":
            held[answer.local_part] = Held(local_part=answer.local_part, rank=one.rank, who="yêu cầu xếp trước")
    return [answers[number] for number in range(len(requests))]


def _precedence(request: Pending, number: int) -> tuple[bool, int, str, int]:
    return (request.rank is None, request.rank or 0, request.registered, number)
