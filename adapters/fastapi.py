"""A FastAPI dependency that gives a handler the entry of its job. Extra: tailwise[fastapi]."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from tailwise.adapters.asgi import decide
from tailwise.adapters.entry import Entry
from tailwise.errors import MissingExtra

try:
    from fastapi import Depends, Request
except ImportError as error:
    raise MissingExtra("the dependency needs FastAPI: pip install 'tailwise[fastapi]'") from error

__all__ = ["ticket"]


def _no_features() -> tuple[()]:
    return ()


def ticket(
    model: str, features: Callable[..., Any] = _no_features, *, default: str | None = None
) -> Callable[..., Awaitable[Entry]]:
    """`entry: Annotated[Entry, Depends(ticket("resnet50", size))]`: decided on when its features are there.

    features: a dependency of its own, which FastAPI gives what it asks for (the body, a file, a query) and which
    returns the x of `Route.select`. The app has a TailwiseMiddleware, which settles the entry and answers a refusal.
    default: as in `asgi.decide`.
    """

    async def decided(request: Request, x: Any = Depends(features)) -> Entry:  # noqa: B008
        return decide(request, model, tuple(x), default=default)

    return decided
