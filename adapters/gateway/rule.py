"""Who is asked where tailwise looks on: the backend that the client named, or that a simple rule names."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from tailwise.adapters.gateway.errors import Problem

__all__ = ["BACKEND", "Rule"]

BACKEND = b"x-tailwise-backend"


class Rule:
    """`round_robin`: in turn. `least_connections`: None, which the engine takes for the fewest open jobs."""

    def __init__(self, name: str) -> None:
        self._in_turn = name == "round_robin"
        self._turns: dict[str, count[int]] = {}

    def choose(self, model: str, backends: Sequence[str], named: bytes | None) -> str | None:
        """named: by the client. Raises Problem."""
        if named is not None:
            name = named.decode("latin-1")
            if name not in backends:
                raise Problem(
                    400, "bad_header", f"{BACKEND.decode()}: one of {', '.join(backends)} is expected"
                )
            return name
        if not self._in_turn:
            return None
        return backends[next(self._turns.setdefault(model, count())) % len(backends)]
