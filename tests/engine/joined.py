"""A dispatch of jobs that are served together, driven by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import tailwise as tw
from tailwise.dispatch import Dispatch
from tailwise.job import Job, Orders, Run
from tailwise.policy import Assignment
from tests.engine.script import Script

__all__ = ["HIGH", "LOW", "MODELS", "SECOND", "Play", "Sized"]

SECOND = 1_000_000_000
HIGH = tw.QoS("high", 10.0, on_time=0.99, priority=0)
LOW = tw.QoS("low", 100.0, on_time=0.5, priority=2)
MODELS = (
    tw.Model("m", ("size", "items"), items="items"),
    tw.Model("k", ("size", "items"), items="items"),
    tw.Model("bare", ("items",)),
    tw.Model("chat", ("items",), signals=("ttft", "tpot"), items="items"),
)


@dataclass
class Sized(Script):
    """A run of n items takes fixed_s + n each_s, for certain."""

    fixed_s: float = 1.0
    each_s: float = 0.0
    batches: list[tuple[int, tuple[float, ...]]] = field(default_factory=list)

    def service_within_s(
        self, assignment: Assignment, features: tuple[float, ...], probability: float
    ) -> float:
        return self.fixed_s + self.each_s * features[1]

    def started_batch(self, assignments: Sequence[Assignment], features: tuple[float, ...]) -> None:
        self.batches.append((len(assignments), features))


class Play:
    """A dispatch of one lane; `starts`: the names that were started together, in order."""

    def __init__(
        self,
        policy: object,
        *,
        slots: int = 1,
        max_items: int = 4,
        hold_s: float = 0.0,
        min_share: dict[str, float] | None = None,
        rules: tw.Rules | None = None,
        lanes: int = 1,
    ) -> None:
        rule = tw.Batching(max_items, hold_s)
        self.dispatch: Dispatch[str] = Dispatch(
            [slots] * lanes,
            policy,  # type: ignore[arg-type]
            rules=rules,
            min_share=min_share,
            batching={"m": rule, "k": rule},
            models=MODELS,
        )
        self.starts: list[str] = []
        self.runs: dict[str, tuple[Run[str], ...]] = {}
        self.jobs: dict[str, Job[str]] = {}
        self.ended: list[str] = []

    def submit(
        self,
        name: str,
        at_s: float = 0.0,
        qos: tw.QoS = LOW,
        *,
        items: float = 1.0,
        size: float = 1.0,
        model: str = "m",
        shape: object = "s",
        deadline_s: float | None = None,
    ) -> Job[str]:
        features = (size, items) if model in "mk" else (items,)
        job, orders = self.dispatch.submit(
            name,
            model,
            qos,
            features,
            round(at_s * SECOND),
            shape=shape,  # type: ignore[arg-type]
            deadline_s=deadline_s,
        )
        self.jobs[name] = job
        self.carry_out(orders)
        return job

    def end(self, names: str, at_s: float, how: str = "completed") -> None:
        for run in self.runs.pop(names):
            self.carry_out(self.dispatch.ended(run, how, round(at_s * SECOND)))  # type: ignore[arg-type]

    def due(self, at_s: float) -> None:
        self.carry_out(self.dispatch.due(round(at_s * SECOND)))

    def carry_out(self, orders: Orders[str]) -> None:
        for run in orders.start:
            names = "+".join(other.job.payload for other in run.batch)
            assert run.batch[0] is run
            assert {other.n_together for other in run.batch} == {len(run.batch)}
            self.starts.append(names)
            self.runs[names] = run.batch
        self.ended += [job.payload for job in orders.ended]

    def waiting(self, lane: int = 0) -> list[str]:
        return [run.job.payload for run in self.dispatch.queued(lane)]
