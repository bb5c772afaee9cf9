"""`tailwise top`, `why`, `doctor`, `mode` and `reset`: a running engine from a terminal."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tailwise.adapters.cli.asking import Admin
from tailwise.errors import MissingExtra

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["doctor", "mode", "reset", "top", "why"]

Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        help="Of the engine's admin port; default: TAILWISE_ADMIN, else this machine's.",
        show_default=False,
    ),
]
Socket = Annotated[
    str | None, typer.Option("--socket", help="Path of its unix socket, instead.", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, as the admin port tells it.")]


def top(
    url: Url = None,
    socket: Socket = None,
    once: Annotated[bool, typer.Option("--once", help="Print it once, and end.")] = False,
    json_: Json = False,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between looks.")] = 1.0,
) -> None:
    """Shows classes and resources: attainment, claims, share, wait, health. Until Ctrl-C."""
    admin = Admin(url, socket)
    told = admin.get("snapshot")
    if json_:
        return typer.echo(json.dumps(told))
    console = _console()
    from tailwise.adapters.cli.oncall_tables import picture

    if once or not console.is_terminal:
        return console.print(picture(told))
    from rich.live import Live

    try:
        with Live(picture(told), console=console, screen=True, auto_refresh=False) as live:
            while True:
                time.sleep(every)
                live.update(picture(admin.get("snapshot")), refresh=True)
    except KeyboardInterrupt:
        return None


def why(
    url: Url = None,
    socket: Socket = None,
    last: Annotated[int, typer.Option(min=1, help="How many refused jobs.")] = 5,
    request: Annotated[
        str | None,
        typer.Option(
            help="Every decision on the request of this id instead, refused or not.", show_default=False
        ),
    ] = None,
    reason: Annotated[
        str | None, typer.Option(help="Those refused for this reason alone.", show_default=False)
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Also those whose candidates were not kept.")] = False,
    json_: Json = False,
) -> None:
    """Tells why the last jobs were refused: each candidate's wait, service and P(on time), as the decision saw them.

    Those numbers are kept for a few refusals a second: of these it tells, unless --all or --request are said.
    """
    admin = Admin(url, socket)
    told = admin.get("why", n=last, request=request, reason=reason, explained=None if every or request else 1)
    if not told and not every and not request:
        told = admin.get("why", n=last, reason=reason)
    if json_:
        return typer.echo(json.dumps(told))
    console = _console()
    from tailwise.adapters.cli.oncall_tables import decision

    if not told:
        return typer.echo("no such decision is kept" if request or reason else "no job was refused")
    for one in reversed(told):
        console.print(decision(one))
    return None


def doctor(url: Url = None, socket: Socket = None, json_: Json = False) -> None:
    """Says what is wrong with an engine and what it is told, and what to do. Exit code 1 where it is an error."""
    found = Admin(url, socket).get("doctor")
    if json_:
        typer.echo(json.dumps(found))
    elif not found:
        typer.echo("nothing looks wrong")
    else:
        console = _console()
        from tailwise.adapters.cli.oncall_tables import finding

        for one in found:
            console.print(finding(one))
    if any(one["severity"] == "error" for one in found):
        raise typer.Exit(1)


def mode(
    wanted: Annotated[
        Literal["active", "shadow", "bypass", "frozen"] | None,
        typer.Argument(help="Switch to it; nothing: only tell.", show_default=False),
    ] = None,
    rollout: Annotated[
        float | None,
        typer.Option(
            min=0.0, max=1.0, help="Share of the jobs that tailwise decides on.", show_default=False
        ),
    ] = None,
    url: Url = None,
    socket: Socket = None,
) -> None:
    """Switches who decides, for all routes at once and without a restart."""
    admin = Admin(url, socket)
    told = admin.post("mode", mode=wanted, rollout=rollout)
    typer.echo(f"{told['mode']}, rollout {told['rollout']:g}")


def reset(
    resource: str,
    model: Annotated[str | None, typer.Argument(help="Nothing: of every model.", show_default=False)] = None,
    url: Url = None,
    socket: Socket = None,
) -> None:
    """Forgets what was learned of a resource, on one model or on all: it starts from the prior."""
    Admin(url, socket).post("reset", resource=resource, model=model)
    typer.echo(f"forgotten: {resource} on {model or 'every model'}")


def _console() -> Console:
    try:
        from rich.console import Console
    except ImportError as error:
        raise MissingExtra("tables need rich: pip install 'tailwise[gateway]', or use --json") from error
    return Console() if sys.stdout.isatty() else Console(width=120)
