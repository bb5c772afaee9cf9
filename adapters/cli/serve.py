"""`tailwise serve`: the gateway that a file describes."""

from __future__ import annotations

import dataclasses
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tailwise.errors import TailwiseError

if TYPE_CHECKING:
    from tailwise.adapters.gateway.fleet import Fleet
    from tailwise.adapters.gateway.server import Server

__all__ = ["serve"]


def serve(
    config: Annotated[
        Path | None, typer.Argument(help="The gateway's file (TOML).", show_default=False)
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Validate the file, say what it means, and end.")
    ] = False,
    example: Annotated[bool, typer.Option("--example", help="Print a commented file to start from.")] = False,
    mode: Annotated[
        str | None, typer.Option(help="active, shadow, frozen or bypass, whatever the file says.")
    ] = None,
) -> None:
    """Serves the OpenAI API over several backends."""
    from tailwise.adapters.gateway.config import EXAMPLE, load
    from tailwise.adapters.gateway.fleet import Fleet

    if example:
        sys.stdout.write(EXAMPLE.read_text("utf-8"))
        return
    if config is None:
        raise typer.BadParameter("the gateway's file is missing; --example prints one to start from")
    try:
        gateway = load(config)
        if mode is not None:
            serving = dataclasses.replace(gateway.serving, mode=mode)  # type: ignore[arg-type]
            gateway = dataclasses.replace(gateway, serving=serving)
        fleet = Fleet(gateway)
    except TailwiseError as error:
        typer.echo(f"tailwise: {error}", err=True)
        raise typer.Exit(2) from None
    if check:
        typer.echo(_meaning(fleet))
        return
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    _run(fleet)


def _run(fleet: Fleet) -> None:
    from tailwise.adapters.gateway.server import Server

    try:
        server = Server(fleet)
    except TailwiseError as error:
        typer.echo(f"tailwise: {fleet.config.name}: {error}", err=True)
        raise typer.Exit(1) from None
    server.run(_say)


def _say(server: Server) -> None:
    admin = "" if server.admin_url is None else f", operators at {server.admin_url}"
    typer.echo(f"tailwise: OpenAI API at {server.url}/v1{admin}")


def _meaning(fleet: Fleet) -> str:
    """What a file would do, a line each."""
    config = fleet.config
    serving = config.serving
    admin = "none" if serving.admin_port is None else f"127.0.0.1:{serving.admin_port}"
    lines = [f"{config.name}: valid; listens on {serving.host}:{serving.port}, operators' port {admin}"]
    if not serving.loopback:
        lines.append(
            f"  {serving.host} is not loopback: other machines reach it, and clients are not authenticated"
        )
    chooses = "tailwise" if serving.mode in ("active", "frozen") else serving.rule
    lines.append(f"  mode {serving.mode}: {chooses} chooses")
    for served in fleet.served:
        names, backends = ", ".join(served.table.names), ", ".join(served.backends)
        classes = ", ".join(q.name for q in served.classes)
        told = (
            "whole answers are learned"
            if served.whole is None
            else f"first token and pace are learned, and answers in one piece as {served.whole.model!r}"
        )
        lines.append(f"  {names}: on {backends}; classes {classes} (default {served.usual.qos}); {told}")
    for backend in config.backends:
        key = f", key from ${backend.api_key_env}" if backend.api_key_env else ""
        lines.append(f"  {backend.name}: {backend.url}{key}")
    return "\n".join(lines)
