"""The settings of backups (Điều 18.1)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from bdmta.config.values import ConfigPath, Count, DataPath, Line, Table, setting

_FIELDS = 5
_WHO = Annotated[str, Field(max_length=400)]


def _crontab(value: str) -> str:
    if not value:
        return value
    from apscheduler.triggers.cron import CronTrigger  # 30 ms, which a site without a schedule does not pay

    if len(value.split()) != _FIELDS:
        raise ValueError("five fields are expected: minute, hour, day, month, day of the week (17 * * * *)")
    try:
        CronTrigger.from_crontab(value, timezone="UTC")
    except (ValueError, KeyError) as error:
        raise ValueError(f"{value!r} is no schedule: {error}") from None
    return value


def _restorer(value: str) -> str:
    who, sign, whose = value.partition("=")
    if not (sign and who.strip() and whose.strip()):
        raise ValueError('"ACCOUNT = *", "ACCOUNT = agency:NAME" or "ACCOUNT = ADDRESS" is expected')
    return value


def _option(value: str) -> str:
    name, sign, _ = value.partition("=")
    if not sign or not name.replace(".", "").replace("-", "").isalnum():
        raise ValueError(f'{value!r} is no option of restic, such as "sftp.command=ssh backup@nas -s sftp"')
    return value


ResticOption = Annotated[str, Field(max_length=1000), AfterValidator(_option)]
Crontab = Annotated[str, Field(max_length=100), AfterValidator(_crontab)]
Restorer = Annotated[_WHO, AfterValidator(_restorer)]


class Backup(Table):
    """Backups of everything, and who may restore whose mail (Điều 18.1)."""

    schedule: Crontab = setting(
        "20 * * * *",
        "When backups are taken, by the site's time zone: minute, hour, day, month, day of the week (by name, sun);"
        " empty: only by hand.",
    )
    jitter_s: Count = setting(300, "Each is put off by a random part of this, in seconds.", le=86_400)
    workers: Count = setting(2, "Processes that read mailboxes.", ge=1, le=32)
    kind: Literal["folder", "restic"] = setting(
        "folder", "Where to: the folder [mail] backup_dir, in plain files; or a restic repository, encrypted."
    )
    restic_repository: Line = setting(
        "", 'The restic repository: a folder, "sftp:user@host:/path", "s3:https://host/bucket" (kind = "restic").'
    )
    restic_password_file: ConfigPath | Literal[""] = setting(
        "", "The file with its password, mode 0600; without it nothing can be restored: keep it elsewhere too."
    )
    restic_options: tuple[ResticOption, ...] = setting(
        (),
        'Options of restic (-o): "sftp.command=ssh -i /etc/bdmta/backup_key -p 2222 backup@nas -s sftp".',
        max_length=20,
    )
    restic_environment_file: ConfigPath | Literal[""] = setting(
        "", "A file of NAME=value lines for restic, such as AWS_ACCESS_KEY_ID, mode 0600."
    )
    keep_hours: Count = setting(
        24, "Hours of which every backup is kept, and the newest of each hour of so many that have any."
    )
    keep_days: Count = setting(7, "Days whose newest backup is kept.")
    keep_weeks: Count = setting(5, "Weeks whose newest backup is kept.")
    keep_months: Count = setting(12, "Months whose newest backup is kept.")
    late_after_s: Count = setting(
        21_600, "Without a complete backup for so long, in seconds, postmaster is told; 0: never.", le=31_536_000
    )
    verify_schedule: Crontab = setting("40 1 * * sun", "When every backup is read back in full; empty: only by hand.")
    unverified_after_s: Count = setting(
        950_400, "When nothing was verified for so long, in seconds, postmaster is told; 0: never.", le=31_536_000
    )
    drill_schedule: Crontab = setting(
        "10 3 2 * *", "When a sample is restored to a scratch folder and read by IMAP; empty: only by hand."
    )
    drill_mailboxes: Count = setting(3, "Mailboxes in that sample.", ge=1, le=1000)
    keys: Literal["apart", "encrypted", "out"] = setting(
        "apart",
        "Private keys (TLS, DKIM, passwords' key): in a folder apart, encrypted in the backup, or left out of it.",
    )
    keys_dir: DataPath = setting(
        "backup-keys", 'The folder apart (keys = "apart"), relative to [server] data_dir; best on another medium.'
    )
    passphrase_file: ConfigPath | Literal[""] = setting(
        "", 'The file with the passphrase of the keys (keys = "encrypted"), mode 0600; keep it elsewhere too.'
    )
    may_restore: tuple[Restorer, ...] = setting(
        (),
        'Who may restore whose mail: "thuynt = agency:sotttt", "root = *"; empty: whoever may run the command.',
        max_length=1000,
    )

    @model_validator(mode="after")
    def _is_whole(self) -> Backup:
        if self.kind == "restic" and not (self.restic_repository and self.restic_password_file):
            raise ValueError('kind = "restic" needs restic_repository and restic_password_file')
        if self.keys == "encrypted" and not self.passphrase_file:
            raise ValueError('keys = "encrypted" needs passphrase_file')
        if not (self.keep_hours or self.keep_days or self.keep_weeks or self.keep_months):
            raise ValueError("keep_hours, keep_days, keep_weeks and keep_months are all 0: nothing would be kept")
        return self
