"""Every fixed thing that SMTP says, in one place: English, then Vietnamese (the reply drops its marks)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bdmta.reply import Reply, reply
from bdmta.smtp.data import Flaw

if TYPE_CHECKING:
    from bdmta.smtp.server import SmtpSettings

SENDER_OK = reply(250, "1.0", "Sender OK")
RECIPIENT_OK = reply(250, "1.5", "Recipient OK")
RESET = reply(250, "0.0", "Reset")
NOOP = reply(250, "0.0", "OK")
BYE = reply(221, "0.0", "Bye", closes=True)
VRFY = reply(252, "0.0", "Cannot verify, but will take the message and try")
HELP = reply(214, "0.0", "See RFC 5321; the Center's guide tells how to set up Outlook and Thunderbird")
START_DATA = reply(354, None, "End data with <CR><LF>.<CR><LF>")
START_TLS = reply(220, "0.0", "Ready to start TLS")
AUTH_OK = reply(235, "7.0", "Authentication succeeded", "Đăng nhập thành công")

UNKNOWN_COMMAND = reply(500, "5.1", "Command not recognized")
BAD_SYNTAX = reply(501, "5.2", "Bad syntax: control characters, or not UTF-8")
COMMAND_TOO_LONG = reply(500, "5.2", "Command line too long")
LINE_TOO_LONG = reply(500, "5.2", "Line too long, closing", closes=True)
NO_ARGUMENT = reply(501, "5.4", "This command takes no argument")
NOT_IMPLEMENTED = reply(502, "5.1", "Command not implemented here")
NOT_HTTP = reply(554, "5.1", "This is a mail server", closes=True)
HELO_SYNTAX = reply(501, "5.4", "Syntax: EHLO hostname")
MAIL_SYNTAX = reply(501, "5.4", "Syntax: MAIL FROM:<address> [parameters]")
RCPT_SYNTAX = reply(501, "5.4", "Syntax: RCPT TO:<address> [parameters]")
HELLO_FIRST = reply(503, "5.1", "Send EHLO first")
MAIL_FIRST = reply(503, "5.1", "Send MAIL first")
NESTED_MAIL = reply(503, "5.1", "A transaction is open; RSET ends it")
NO_RECIPIENTS = reply(554, "5.1", "No valid recipients", "Không có người nhận hợp lệ")
TOO_MANY_RECIPIENTS = reply(452, "5.3", "Too many recipients", "Quá nhiều người nhận trong một thư")
TOO_MANY_COMMANDS = reply(421, "7.0", "Too many commands", closes=True)
TOO_MANY_SESSIONS = reply(421, "7.0", "Too many sessions from your address", closes=True)
NOT_FROM_THERE = reply(554, "7.1", "This port does not serve your network", closes=True)
TOO_BUSY = reply(421, "3.2", "Too many sessions, try again later", closes=True)
SHUTTING_DOWN = reply(421, "3.2", "Shutting down, try again later", "Máy chủ đang dừng, xin thử lại sau", closes=True)
IDLE = reply(421, "4.2", "Idle too long", closes=True)
DATA_BEHIND_TLS = reply(421, "5.1", "Data sent behind STARTTLS", closes=True)
SMTPUTF8_WANTED = reply(553, "6.7", "A non-ASCII address needs SMTPUTF8")

NO_TLS = reply(503, "5.1", "TLS is not available, or already in use")
TLS_FIRST = reply(530, "7.0", "Must issue a STARTTLS command first", "Phải bật mã hoá TLS trước")
AUTH_FIRST = reply(530, "7.0", "Authentication required", "Phải đăng nhập trước khi gửi thư")
AUTH_NOT_NOW = reply(503, "5.1", "AUTH is not possible now")
AUTH_MECHANISM = reply(504, "5.4", "Mechanism not supported; PLAIN and LOGIN are")
AUTH_CANCELLED = reply(501, "7.0", "Authentication cancelled")
AUTH_SYNTAX = reply(501, "5.2", "Cannot decode the response")
AUTH_FAILED = reply(535, "7.8", "Authentication credentials invalid", "Sai tên đăng nhập hoặc mật khẩu")
LOGIN_OVER = reply(421, "7.0", "The login is no longer valid", "Đăng nhập không còn hiệu lực", closes=True)
AUTH_TOO_OFTEN = Reply(421, "7.0", ("Too many failed logins", "Đăng nhập sai quá nhiều lần"), closes=True)


def stopped(lines: tuple[str, ...]) -> Reply:
    """The service is stopped; `lines` give the expected time of recovery (Điều 15)."""
    return Reply(421, "3.2", lines, closes=True)


def agency_stopped(lines: tuple[str, ...]) -> Reply:
    """The mailboxes of one agency are out of service; the same for them."""
    return Reply(450, "3.2", lines)


def too_big(max_octets: int) -> Reply:
    """RFC 1870 §6.1."""
    return reply(
        552, "3.4", f"Message exceeds {max_octets} octets", f"Thư vượt quá {max_octets // 1_048_576} MB cho phép"
    )


def not_your_address(sender: str, login: str) -> Reply:
    """Submission: MAIL FROM belongs to the login."""
    return reply(
        550,
        "7.1",
        f"{sender} does not belong to the login {login}",
        f"Địa chỉ gửi {sender} không thuộc tài khoản {login}",
    )


def no_such_mailbox(address: str) -> Reply:
    """RFC 5321 §3.3: refused at RCPT."""
    return reply(550, "1.1", f"<{address}> no such mailbox here", "Không có hộp thư này")


def mailbox_closed(address: str) -> Reply:
    """A closed mailbox (Điều 7: huỷ bỏ)."""
    return reply(550, "2.1", f"<{address}> mailbox closed", "Hộp thư đã huỷ bỏ")


def mailbox_full(address: str) -> Reply:
    """Quota, RFC 3463 §3.3."""
    return reply(452, "2.2", f"<{address}> mailbox full", "Hộp thư đã đầy, xin gửi lại sau")


def no_relay(address: str) -> Reply:
    """Not ours, and not from one of ours."""
    return reply(550, "7.1", f"<{address}> relaying denied", "Máy chủ này không chuyển tiếp thư ra ngoài cho người lạ")


def data_flaw(flaw: Flaw, settings: SmtpSettings) -> Reply:
    """The octets of DATA cannot be taken."""
    match flaw:
        case Flaw.TOO_BIG:
            return too_big(settings.max_message_octets)
        case Flaw.LONG_LINE:
            return reply(554, "6.0", f"A line is longer than {settings.max_line_octets} octets")
        case Flaw.NUL:
            return reply(554, "6.0", "The message holds a NUL octet")
        case _:
            return reply(554, "6.11", f"The message holds a {flaw.value}; lines end with CRLF (RFC 5321 section 2.3.8)")
