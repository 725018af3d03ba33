"""`bdmta serve`."""

from __future__ import annotations

from typing import Annotated

import typer


def serve(
    workers: Annotated[
        int | None, typer.Option("--workers", min=0, help="Edge processes; 0 is everything in one process.")
    ] = None,
) -> None:
    """Run the site in the foreground; prints `ready` when every listener answers. SIGHUP reloads, SIGTERM drains."""
    from bdmta.app import serve as run
    from bdmta.cli.context import current_site

    raise typer.Exit(run(current_site(), workers))
