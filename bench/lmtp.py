"""Postfix that hands its letters to Dovecot by LMTP: the other pair that a user would take from Debian."""

from __future__ import annotations

import subprocess
from pathlib import Path

from bench.peers import ADDRESSES, DOMAIN, GROUP, MAILBOXES, Postfix

_USER_ID = 2000


class PostfixLmtp(Postfix):
    """Postfix maps addresses to mailboxes, Dovecot writes the Maildirs."""

    name = "postfix+lmtp"
    title = "Postfix + Dovecot LMTP"
    protocols = "lmtp"
    dovecot_more = ""

    def _start(self) -> subprocess.Popen[bytes]:
        running = super()._start()
        with (self.folder / "log").open("ab") as log:
            command = ["dovecot", "-F", "-c", str(self.folder / "dovecot.conf")]
            self._dovecot = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        return running

    def _configure(self) -> None:
        super()._configure()
        etc, sock = self.folder / "etc", self.folder / "lmtp.sock"
        lines = "".join(f"{n}u@{DOMAIN} box{n % MAILBOXES:03d}@{DOMAIN}\n" for n in range(ADDRESSES))
        with (etc / "aliases").open("a") as file:
            file.write(lines)
        (etc / "boxes").write_text("".join(f"box{n:03d}@{DOMAIN} x\n" for n in range(GROUP)))
        for table in ("boxes", "aliases"):
            subprocess.run(["postmap", "-c", etc, f"hash:{etc}/{table}"], check=True)
        with (etc / "main.cf").open("a") as file:
            file.write(f"virtual_transport = lmtp:unix:{sock}\nlmtp_destination_concurrency_limit = 20\n")
        (self.folder / "dovecot.conf").write_text(
            _DOVECOT.format(
                folder=self.folder, root=self.root, uid=_USER_ID, sock=sock, port=self.port, protocols=self.protocols
            )
            + self.dovecot_more
        )

    def new_folder(self, number: int) -> Path:
        """Side by side."""
        return self.root / f"box{number:03d}" / "new"

    def pids(self) -> list[int]:
        """Both servers."""
        return [self.process.pid, self._dovecot.pid]

    def stop(self) -> None:
        """Both."""
        super().stop()
        subprocess.run(["dovecot", "-c", str(self.folder / "dovecot.conf"), "stop"], capture_output=True)
        try:
            self._dovecot.wait(20)
        except subprocess.TimeoutExpired:
            self._dovecot.kill()


_DOVECOT = """base_dir = {folder}/run
state_dir = {folder}/run
log_path = {folder}/dovecot.log
instance_name = lmtp{port}
listen = 127.0.0.1
protocols = {protocols}
ssl = no
first_valid_uid = 1000
auth_username_format = %Ln
mail_location = maildir:{root}/%n
passdb {{
  driver = static
  args = password=x
}}
userdb {{
  driver = static
  args = uid={uid} gid={uid} home={folder}/home/%n allow_all_users=yes
}}
service lmtp {{
  process_min_avail = 4
  unix_listener {sock} {{
    mode = 0666
  }}
}}
default_vsz_limit = 1G
"""
