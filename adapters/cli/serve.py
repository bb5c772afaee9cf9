"""`tailwise serve`: the gateway that a file describes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tailwise.errors import MissingExtra

__all__ = ["serve"]


def serve(config: Annotated[Path, typer.Argument(help="The gateway's file (TOML).")]) -> None:
    """Serves the OpenAI API over several backends."""
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise MissingExtra(f"`tailwise serve` needs {error.name}: pip install 'tailwise[gateway]'") from error
    raise typer.BadParameter(f"{config}: this build has no gateway yet")
