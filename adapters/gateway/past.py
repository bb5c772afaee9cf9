"""What requests before this one left behind: prompts in the backends' caches, and where each session was."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tailwise.adapters.affinity import fill_given
from tailwise.adapters.gateway.openai import Asked
from tailwise.adapters.prefix import Chain, PrefixMemory
from tailwise.adapters.sessions import Sessions

__all__ = ["Past"]


class Past:
    """Bounded memories, shared by all models: prefixes of prompts, and the last backend of each session.

    prefix_blocks, sessions: how many are kept; 0 = none, and the column is unknown then.
    """

    def __init__(self, prefix_blocks: int, sessions: int) -> None:
        self._prefixes = PrefixMemory(max_blocks=prefix_blocks) if prefix_blocks else None
        self._sessions = Sessions(max_sessions=sessions) if sessions else None

    def chain(self, model: str, asked: Asked | None) -> Chain | None:
        if self._prefixes is None or asked is None:
            return None
        return self._prefixes.chain(asked.prompt, model)

    def fill(
        self, Z: Any, given: Sequence[str], chain: Chain | None, n_tokens: float, session: str | None
    ) -> Any:
        """The given numbers of each backend, a row each; other given columns are unknown."""
        return fill_given(
            Z,
            given,
            prefixes=self._prefixes,
            chain=chain,
            n_tokens=n_tokens,
            sessions=self._sessions,
            session=session,
        )

    def note(self, chain: Chain | None, session: str | None, lane: int) -> None:
        if self._prefixes is not None and chain is not None:
            self._prefixes.note(chain, lane)
        if self._sessions is not None and session is not None:
            self._sessions.note(session, lane)
