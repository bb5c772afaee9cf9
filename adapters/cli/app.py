"""The commands of `tailwise`. Each imports what it needs when it runs: those that serve need no torch."""

from __future__ import annotations

from typing import Annotated

import typer

import tailwise
from tailwise.adapters.cli.oncall import doctor, mode, reset, top, why
from tailwise.adapters.cli.play import run
from tailwise.adapters.cli.serve import serve

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tailwise {tailwise.__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Online-learning scheduling of inference jobs with different QoS on shared hardware."""


for command in (run, serve, top, why, doctor, mode, reset):
    app.command()(command)
