"""Engines in the states that metrics tell of."""

from __future__ import annotations

import tailwise as tw
from tailwise.adapters.journal import Journal


class Served:
    """Two backends, one class of answers and one of plain jobs, on a clock of the test."""

    def __init__(self) -> None:
        self.clock = tw.ManualClock(10.0)
        self.engine = tw.Engine(
            [tw.Resource("a"), tw.Resource("b")],
            [tw.Model("net"), tw.Model("llm", signals=("ttft", "tpot"))],
            [tw.QoS("plain", 1.0, on_time=0.9), tw.QoS("chat", 10.0, ttft_s=0.5, tpot_s=0.1, priority=1)],
            clock=self.clock,
            seed=1,
        )
        self.journal = Journal(self.engine, wall=lambda: 1.7e9 + self.clock.now_ns() * 1e-9)
        self.plain, self.chat = self.engine.route("net", "plain"), self.engine.route("llm", "chat")

    def jobs(self, n: int, seconds: float = 0.1, end: str = "complete") -> None:
        for _ in range(n):
            entry = self.journal.select(self.plain, ())
            self.clock.advance(seconds)
            getattr(entry, end)()

    def answers(self, n: int, ttft_s: float = 0.2, tokens: int = 11) -> None:
        """50 ms a token."""
        for _ in range(n):
            entry = self.journal.select(self.chat, ())
            self.clock.advance(ttft_s)
            entry.first()
            self.clock.advance(0.05 * (tokens - 1))
            entry.complete(tokens=tokens)

    def refuse(self, n: int) -> None:
        for name in ("a", "b"):
            self.engine.drain(name)
        for _ in range(n):
            self.journal.select(self.plain, ())
        for name in ("a", "b"):
            self.engine.undrain(name)
