"""A policy that forecasts what a test tells it to, and writes down what it hears."""

from __future__ import annotations

from dataclasses import dataclass, field

from tailwise.policy import Assignment, End


@dataclass
class Script:
    """lane: where the next job goes. Forecasts are the same for every job; `moves_to` is where a reconsidered job
    goes (None: it stays), `copies_to` where a copy may queue (None: nowhere)."""

    lane: int = 0
    refuses: str | None = None
    wait: float = 1.0
    passes: bool = True
    moves_to: int | None = None
    hedge_at: float = 1.0
    copies_to: int | None = None
    lanes: int = 0  # disturbed ones, told once
    seen: list[int | None] = field(default_factory=list)  # masks of new jobs
    masks: list[int | None] = field(default_factory=list)  # of jobs that were decided again or copied
    ends: list[tuple[int, End, float]] = field(default_factory=list)  # (lane, how, service_s)

    def assign(
        self,
        model: str,
        qos: str,
        features: tuple[float, ...],
        mask: int | None,
        deadline_s: float | None = None,
    ) -> Assignment:
        self.seen.append(mask)
        return Assignment(self.lane, reason=self.refuses)

    def started(self, assignment: Assignment) -> None: ...

    def ended(
        self, assignment: Assignment, end: End, service_s: float, completion_s: float, **untaught: object
    ) -> None:
        self.ends.append((assignment.lane, end, service_s))

    def wait_s(self, assignment: Assignment) -> float:
        return self.wait

    def may_start(self, assignment: Assignment, left_s: float) -> bool:
        return self.passes

    def reconsider(self, assignment: Assignment, mask: int | None, bonus: float) -> Assignment:
        self.masks.append(mask)
        return assignment if self.moves_to is None else assignment._replace(lane=self.moves_to)

    def hedge_at_s(self, assignment: Assignment) -> float:
        return self.hedge_at

    def copy(self, assignment: Assignment, mask: int | None) -> Assignment | None:
        self.masks.append(mask)
        return None if self.copies_to is None else Assignment(self.copies_to)

    def disturbed(self) -> int:
        lanes, self.lanes = self.lanes, 0
        return lanes
