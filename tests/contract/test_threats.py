"""Each class of threat that touches SMTP, MIME or Maildir has named tests; this table says which (the threat model).

A name is `path::function`. The classes are those that the field's servers were hurt by; what is not reached by SMTP,
MIME or Maildir (IMAP literals, the web) has its own tests.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

THREATS: dict[str, list[str]] = {
    "SMTP smuggling on the way in (CVE-2023-51764, -51765, -51766, -52354, CVE-2024-27305)": [
        "tests/unit/bdmta/test_smtp_data.py::test_smuggling_sequences_do_not_end_the_data",
        "tests/unit/bdmta/test_smtp_data.py::test_the_end_is_seen_at_one_place_whatever_is_wrong_with_the_letter",
        "tests/unit/bdmta/test_smtp_data.py::test_a_dot_that_ends_a_long_line_ends_no_letter",
        "tests/system/test_content.py::test_nothing_but_crlf_dot_crlf_ends_a_letter",
        "tests/system/test_content.py::test_bare_line_ends_are_refused_from_outside_and_mended_from_inside",
    ],
    "STARTTLS injection (CVE-2011-0411, NO-STARTTLS, CVE-2024-34083)": [
        "tests/system/test_login.py::test_what_is_sent_behind_starttls_is_never_run",
        "tests/system/test_login.py::test_tls_forgets_what_was_said_before_it",
        "tests/dialogue/smtp/starttls-injection.txt",
    ],
    "Passwords in the clear, old TLS": [
        "tests/system/test_login.py::test_auth_is_neither_offered_nor_taken_in_the_clear",
        "tests/interop/test_submission.py::test_old_tls_is_not_spoken",
    ],
    "Attachment-name evasion (CVE-2024-39929)": [
        "tests/unit/bdmta/test_message_parameters.py::*",
        "tests/system/test_content.py::test_an_executable_is_refused_in_every_form",
    ],
    "Archives: bombs, links, traversal, contradictions (CVE-2022-41352, CVE-2024-0450, CVE-2016-1000282)": [
        "tests/unit/policies/test_attachments_kinds.py::*",
    ],
    "MIME and header parser exhaustion (CVE-2024-23184, CVE-2026-27859, CVE-2026-26312)": [
        "tests/unit/bdmta/test_message_bounds.py::*",
        "tests/property/test_message.py::*",
        "tests/system/test_hostile.py::test_a_letter_made_to_exhaust_gets_its_answer_and_delays_nobody",
    ],
    "Injection into helpers: shells, SQL (CVE-2020-7247, CVE-2024-45519)": [
        "tests/dialogue/smtp/addresses.txt",
        "tests/contract/test_threats.py::test_no_shell_is_ever_started",
    ],
    "Path traversal in the Maildir": [
        "tests/unit/storage/test_maildir.py::*",
        "tests/dialogue/smtp/addresses.txt",
    ],
    "CRLF and header injection": [
        "tests/unit/bdmta/test_message_write.py::*",
        "tests/dialogue/smtp/addresses.txt",
        "tests/system/test_content.py::test_marks_of_ours_cannot_be_forged",
    ],
    "Duplicate header fields: two From": [
        "tests/system/test_content.py::test_two_authors_are_refused_from_outside_and_from_inside",
        "tests/dialogue/smtp/two-froms.txt",
        "tests/unit/policies/test_sender.py::*",
    ],
    "Forged authors from inside and outside": [
        "tests/system/test_content.py::test_a_foreign_author_is_refused_to_a_login",
        "tests/system/test_login.py::test_a_delegate_sends_for_the_agency_and_others_do_not",
        "tests/system/test_content.py::test_a_display_name_that_lies_goes_to_junk",
    ],
    "Loops and storms of answers": [
        "tests/system/test_content.py::test_a_letter_that_went_round_a_hundred_times_is_a_loop",
        "tests/system/test_content.py::test_a_letter_delivered_to_the_recipient_before_is_a_loop",
        "tests/system/test_content.py::test_retries_over_two_edges_are_explained_once",
        "tests/system/test_content.py::test_what_comes_from_outside_is_never_explained_to_anybody",
        "tests/system/test_recipients.py::test_a_group_cannot_be_made_to_hold_itself",
    ],
    "Guessed passwords, timing, replay (CVE-2025-59028)": [
        "tests/system/test_login.py::test_the_refusal_does_not_tell_who_exists",
        "tests/system/test_login.py::test_five_wrong_passwords_end_the_session",
        "tests/system/test_login.py::test_wrong_passwords_make_the_next_answer_wait_over_all_edges",
        "tests/system/test_login.py::test_a_new_password_counts_at_once_and_the_old_no_longer",
        "tests/system/test_login.py::test_forms_of_auth",
        "tests/unit/bdmta/test_passwords.py::*",
        "tests/unit/bdmta/test_limits.py::*",
    ],
    "Exhaustion: sessions, slow peers, endless commands": [
        "tests/system/test_limits.py::test_sessions_of_one_address_are_counted_over_both_edges",
        "tests/system/test_limits.py::test_a_trickle_of_octets_does_not_keep_a_session_open",
        "tests/system/test_limits.py::test_a_letter_that_stops_coming_ends_the_session",
        "tests/system/test_limits.py::test_a_peer_that_reads_no_replies_is_let_go",
        "tests/system/test_limits.py::test_a_long_session_of_refusals_is_ended",
        "tests/dialogue/smtp/long-lines.txt",
        "tests/system/test_memory.py::test_ten_parallel_letters_of_50_mb_arrive_in_little_memory",
    ],
    "Open relay": [
        "tests/system/test_limits.py::test_only_listed_networks_may_relay",
        "tests/dialogue/smtp/mail-and-rcpt.txt",
    ],
    "Cross-protocol requests": ["tests/dialogue/smtp/http.txt"],
    "Quota and a full disk": [
        "tests/system/test_quota.py::test_a_declared_size_that_does_not_fit_is_refused_at_rcpt",
        "tests/system/test_operators.py::test_a_full_disk_puts_letters_off_and_loses_none",
    ],
    "Loss after the 250: kill, loss of power": [
        "tests/crash/test_server_kill.py::test_what_was_acknowledged_is_there_once_and_whole",
        "tests/crash/test_store.py::*",
        "tests/system/test_durability.py::test_octets_then_name_then_directory_then_250",
        "tests/system/test_durability.py::test_what_waits_for_outside_is_synced_too",
    ],
    "Leaks: blind copies, contents in logs": [
        "tests/system/test_content.py::test_bcc_is_gone_and_date_and_message_id_are_there",
        "tests/system/test_operators.py::test_the_log_and_the_facts_hold_no_content",
    ],
}


def functions(path: Path) -> set[str]:
    """The tests that a file defines."""
    tree = ast.parse(path.read_text())
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    return {name for name in names if name.startswith("test_")}


@pytest.mark.parametrize("threat", THREATS)
def test_the_tests_against_it_exist(threat):
    assert THREATS[threat]
    for name in THREATS[threat]:
        path, _, function = name.partition("::")
        assert (ROOT / path).is_file(), name
        if function == "*":
            assert functions(ROOT / path), name
        elif function:
            assert function in functions(ROOT / path), name


def test_no_shell_is_ever_started():
    """Nothing that strangers send can reach a shell where there is none."""
    wrong = []
    for folder in ("bdmta", "storage", "policies"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.keyword) and node.arg == "shell":
                    wrong.append(f"{path}:{node.value.lineno}")
                if isinstance(node, ast.Attribute) and node.attr in ("system", "popen", "create_subprocess_shell"):
                    wrong.append(f"{path}:{node.lineno}")
    assert wrong == []


def test_no_strangers_octets_reach_the_standard_parser():
    """Contract 10: `email` parses for tests only; `bdmta init --demo` and `bdmta-traffic` write their letters with it."""
    writers = {ROOT / "bdmta" / "setup" / "population.py", ROOT / "bdmta" / "traffic" / "compose.py"}
    wrong = []
    for folder in ("bdmta", "storage", "policies"):
        for path in (ROOT / folder).rglob("*.py"):
            if path in writers:
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                names = []
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom) and node.level == 0:
                    names = [node.module or ""]
                if any(name == "email" or name.startswith("email.") for name in names):
                    wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert wrong == []
