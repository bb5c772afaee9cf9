"""Routes for coroutines, of one engine."""

from __future__ import annotations

import tailwise as tw
from tailwise.adapters.asyncio import AsyncRoute
from tailwise.adapters.journal import Journal


class World:
    """Classes of an hour and of a minute, one that bounds the first token, and one that is refused nothing."""

    def __init__(self, clock: tw.ManualClock | None = None) -> None:
        self.engine = tw.Engine(
            [tw.Resource("a", slots=8)],
            [tw.Model("net"), tw.Model("llm", signals=("ttft", "tpot"))],
            [
                tw.QoS("hour", 3600.0),
                tw.QoS("minute", 60.0),
                tw.QoS("chat", ttft_s=60.0),
                tw.QoS("patient", 3600.0, contract="best_effort", priority=1),
            ],
            clock=clock,
        )
        self.journal = Journal(self.engine)
        self.hour, self.minute, self.patient = (self.route("net", q) for q in ("hour", "minute", "patient"))

    def route(self, model: str, qos: str) -> AsyncRoute:
        return AsyncRoute(self.engine.route(model, qos), self.journal)

    def ends(self, qos: str = "hour") -> dict[str, int]:
        assert self.engine.in_flight == 0
        return dict(self.journal.classes[qos].ended)
