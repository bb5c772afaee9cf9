"""An engine and its journal on a clock of the test, which two backends of known speed serve."""

from __future__ import annotations

import random

import tailwise as tw
from tailwise.adapters.entry import Entry
from tailwise.adapters.journal import Journal


class Served:
    """ "fast" takes 20 ms x a lognormal factor, "slow" five times as long; twice as long a prompt twice as long."""

    def __init__(self, *, keep: int = 256, **options: object) -> None:
        self.clock = tw.ManualClock(1000.0)
        self.engine = tw.Engine(
            [tw.Resource("fast", slots=4, kind="gpu"), tw.Resource("slow", slots=4)],
            [
                tw.Model("net", features=(tw.Feature("tokens", typical=100),)),
                tw.Model("llm", signals=("ttft", "tpot")),
            ],
            [tw.QoS("urgent", 0.5, priority=0), tw.QoS("chat", ttft_s=1.0, tpot_s=0.1, priority=1)],
            clock=self.clock,
            seed=3,
            **options,  # type: ignore[arg-type]
        )
        self.journal = Journal(self.engine, keep=keep, wall=lambda: self.clock.now_ns() * 1e-9)
        self.urgent, self.chat = self.engine.route("net", "urgent"), self.engine.route("llm", "chat")
        self._random = random.Random(5)

    def send(self, tokens: float | None = None, **options: object) -> Entry:
        if tokens is None:
            tokens = 100.0 * self._random.lognormvariate(0.0, 0.5)
        return self.journal.select(self.urgent, (tokens,), **options)  # type: ignore[arg-type]

    def serve(self, n: int, tokens: float | None = None, speed: float = 1.0) -> None:
        """n jobs one after another, each to its end."""
        for _ in range(n):
            size = 100.0 * self._random.lognormvariate(0.0, 0.5) if tokens is None else tokens
            entry = self.send(size)
            if not entry.admitted:
                self.clock.advance(0.02)
                continue
            usual_s = 0.02 * (1.0 if entry.resource == "fast" else 5.0) * size / 100.0
            self.clock.advance(usual_s * self._random.lognormvariate(0.0, 0.1) / speed)
            entry.complete()
