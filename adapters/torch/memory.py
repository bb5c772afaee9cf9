"""What one worker has in memory: which models, how large, how much they are used, and who would leave for whom."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from tailwise.adapters.torch.worker import Worker
from tailwise.types import Resource

__all__ = ["Copy", "Memory", "Residence", "State", "Then"]

State = Literal["absent", "loading", "ready", "failed"]

#: Told None when a model is there, else why it cannot be.
Then = Callable[[BaseException | None], None]

#: Jobs that count for how useful a model is fade with this time constant, seconds.
_TAU_S = 30.0


@dataclass(frozen=True, slots=True)
class Residence:
    """One model on one resource. use: jobs that wanted it there lately, faded. load_s: what loading it took, or is
    taken to need. n_bytes: as declared or as measured, the larger; 0 = not known."""

    resource: str
    model: str
    state: State
    n_bytes: int
    load_s: float
    use: float
    n_calls: int  #: since it was loaded


@dataclass(slots=True)
class Copy:
    """A model on a worker."""

    state: State
    n_bytes: int
    load_s: float
    use: float = 0.0
    used_s: float = -math.inf  # when `use` was faded last
    n_running: int = 0  # runs that have it; who waits is none
    n_calls: int = 0
    waiting: list[Then] = field(default_factory=list)
    wished: bool = False  # by nobody that waits
    since_s: float = 0.0  # when the first began to wait, or it was wished

    def wanted(self, now_s: float, jobs: float = 0.0) -> float:
        """The use as of now, `jobs` more counted in."""
        self.use = self.use * math.exp(-max(now_s - self.used_s, 0.0) / _TAU_S) + jobs
        self.used_s = now_s
        return self.use

    def wait(self, then: Then, now_s: float) -> None:
        if not self.waiting:
            self.since_s = now_s
        self.waiting.append(then)

    def let_go(self) -> list[Then]:
        """Whoever waits for it, no longer: they run, or end."""
        thens, self.waiting = self.waiting, []
        self.n_running += len(thens)
        return thens


@dataclass(slots=True)
class Memory:
    """Of one worker."""

    resource: Resource
    lane: int
    worker: Worker
    copies: dict[str, Copy]
    managed: bool  # its budget is ours to keep: not where the owner of the worker loaded everything
    thread: threading.Thread | None = None  # loads what is wanted, one after the other
    short: bool = False  # what is wanted has no room before something that runs ends

    def next_wanted(self) -> str | None:
        """Who waits longest for a load: models take turns when all are wanted."""
        wanted = [n for n, c in self.copies.items() if (c.waiting or c.wished) and c.state != "ready"]
        return min(wanted, key=lambda name: self.copies[name].since_s, default=None)

    def let_go(self, *, ready: bool = False) -> list[Then]:
        """Whoever waits; of those whose model is there, if `ready`."""
        copies = [copy for copy in self.copies.values() if copy.state == "ready" or not ready]
        return [then for copy in copies for then in copy.let_go()]

    def leaving(self, model: str | None, now_s: float) -> list[str] | None:
        """The least useful models that make room for this one (None: for those that are there); None while those that
        run leave too little."""
        if not self.managed or self.resource.memory_bytes is None:
            return []
        copies, budget = self.copies, self.resource.memory_bytes
        short = sum(copy.n_bytes for copy in copies.values() if copy.state in ("ready", "loading")) - budget
        # one that is too large anyway is refused, not waited for
        new = 0 if model is None else copies[model].n_bytes
        short += new if new <= budget else 0
        if short <= 0:
            return []
        idle = [name for name, c in copies.items() if c.state == "ready" and not c.n_running and c.n_bytes]
        leaving: list[str] = []
        for name in sorted(idle, key=lambda name: copies[name].wanted(now_s)):
            if short <= 0:
                break
            leaving.append(name)
            short -= copies[name].n_bytes
        return leaving if short <= 0 else None
