"""An engine whose owner queues, and jobs that wait in it to be served together."""

from __future__ import annotations

from collections.abc import Sequence

import tailwise as tw

__all__ = ["CLASSES", "COLUMNS", "N", "engine", "queued", "select"]

N = (tw.Feature("n", typical=4.0, knee=True),)
COLUMNS = (
    tw.Column("busy", scale=2.0, tracked="running"),
    tw.Column("line", scale=4.0, tracked="waiting"),
    tw.Column("own", scale=4.0),
)
CLASSES = (
    tw.QoS("high", 5.0, on_time=0.9, priority=0, contract="best_effort"),
    tw.QoS("low", 9.0, on_time=0.5, priority=1, contract="best_effort"),
)


def engine(**options: object) -> tuple[tw.Engine, tw.ManualClock]:
    """One resource that its owner queues for, another one, and models with and without columns."""
    clock = tw.ManualClock(1.0)
    made = tw.Engine(
        [tw.Resource("r", discipline="priority"), tw.Resource("other", slots=4, discipline="priority")],
        [
            tw.Model("m", N, items="n"),
            tw.Model("columns", N, COLUMNS, items="n"),
            tw.Model("chat", ("prompt_tokens",), signals=("ttft", "tpot")),
        ],
        CLASSES,
        clock=clock,
        seed=1,
        **options,  # type: ignore[arg-type]
    )
    return made, clock


def select(e: tw.Engine, model: str = "m", n: float = 1.0, qos: str = "high", lane: int = 0) -> tw.Ticket:
    return e.route(model, qos).select((n,), mask=1 << lane)


def queued(e: tw.Engine, sizes: Sequence[float], model: str = "m") -> list[tw.Ticket]:
    return [select(e, model, n, ("high", "low")[k % 2]) for k, n in enumerate(sizes)]
