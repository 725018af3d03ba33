"""Synthetic traffic against any mail server, and the proof of what became of it: `bdmta-traffic`.

`population` invents the people, `mix` and `compose` their letters, `schedule` the moments, `smtp_client`, `imap_client`
and `pop3_client` speak with the server, `readers` behave as Thunderbird and Outlook do, `ledger` keeps what was
promised, `look` and `verdict` compare it with what lies in the mailboxes.
"""
