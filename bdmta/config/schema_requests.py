"""The settings of requests (Điều 7)."""

from __future__ import annotations

from bdmta.config.values import Count, Flag, Line, MailAddress, Table, setting


class Requests(Table):
    """Requests for mailboxes (Điều 7): where they come in, who is told, how long things take."""

    address: MailAddress = setting(
        "", "The mailbox that takes requests by letter, such as yeucau@binhduong.gov.vn; empty: none by letter."
    )
    home_affairs: Line = setting("sonv", "The abbreviation of Sở Nội vụ, which is told of everything.", max_length=32)
    working_days: Count = setting(5, "How long a request may take, in working days.", ge=1, le=365)
    alias_days: Count = setting(
        365, "How long the old address of a renamed mailbox or merged agency leads on, in days; 0: for good.", le=3650
    )
    two_persons: Flag = setting(
        False, "Whether a cancelling, a merging and a reset are carried out by another person than the approving one."
    )
    letter_octets: Count = setting(
        2_097_152, "The largest letter that is read as a request, in octets; a person looks at those beyond.", ge=65_536
    )
