"""`bdmta status-page`: the status page's process, for its own systemd unit."""

from __future__ import annotations

import typer

from bdmta.cli.context import current_site


def status_page() -> None:
    """Serve the status page in the foreground, whatever becomes of mail ([outage] status_page = "own")."""
    from bdmta.clock import SystemClock
    from bdmta.errors import ConfigError
    from bdmta.log import configure
    from bdmta.outage.page_process import bind_page, run
    from bdmta.service.privileges import drop, sd_notify

    site = current_site()
    config = site.config
    if config.outage.status_page != "own":
        raise ConfigError(f'{site.config_path}: [outage] status_page is "{config.outage.status_page}"; set it to "own"')
    sockets = bind_page(site)
    drop(config.server.user, config.server.group)
    log = configure(config.log.level, config.log.format, process="status-page")
    sd_notify("READY=1")
    typer.echo("ready")
    run(site, sockets, SystemClock(), log, is_own=True)
