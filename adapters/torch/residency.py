"""Which models each worker has in memory: loaded when a job needs them, the least useful unloaded to make room."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from tailwise.adapters.torch.worker import ModelSource, Worker
from tailwise.engine import Engine
from tailwise.errors import TailwiseError, WorkerError
from tailwise.types import Resource

__all__ = ["Residence", "Residency", "State"]

log = logging.getLogger("tailwise.torch")

State = Literal["absent", "loading", "ready", "failed"]
Then = Callable[[BaseException | None], None]

#: Jobs that count for how useful a model is fade with this time constant, seconds.
_TAU_S = 30.0
#: Seconds that a load is taken to need before one was measured, and after one that failed.
_FIRST_LOAD_S, _FAILED_LOAD_S = 1.0, 3600.0
#: Jobs refused lately for want of a model, beyond the use of what must leave, that have it loaded unasked: loads cost
#: seconds of the device, and two models that are wanted alike must not take turns.
_MISSED, _MARGIN = 3.0, 1.5


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
class _Copy:
    state: State
    n_bytes: int
    load_s: float = _FIRST_LOAD_S
    use: float = 0.0
    used_s: float = -math.inf  # when `use` was faded last
    n_running: int = 0
    n_calls: int = 0
    waiting: list[Then] = field(default_factory=list)

    def wanted(self, now_s: float, jobs: float = 0.0) -> float:
        """The use as of now, `jobs` more counted in."""
        self.use = self.use * math.exp(-max(now_s - self.used_s, 0.0) / _TAU_S) + jobs
        self.used_s = now_s
        return self.use


@dataclass(slots=True)
class _Memory:
    """Of one worker."""

    resource: Resource
    worker: Worker
    copies: dict[str, _Copy]
    managed: bool  # its budget is ours to keep: not where the owner of the worker loaded everything
    thread: threading.Thread | None = None  # loads what is wanted, one after the other

    def taken(self) -> int:
        return sum(copy.n_bytes for copy in self.copies.values() if copy.state in ("ready", "loading"))

    def next_wanted(self) -> str | None:
        return next(
            (name for name, copy in self.copies.items() if copy.waiting and copy.state != "ready"), None
        )


class Residency:
    """Keeps each worker's models within its resource's `memory_bytes` (None: all of them stay loaded).

    lanes: each resource with its worker and whether it was built here. sources: by model. warmup_calls: calls after a
    load whose times are nothing to learn from. Thread-safe; holds no lock while a model loads.
    """

    def __init__(
        self,
        engine: Engine,
        lanes: Sequence[tuple[Resource, Worker, bool]],
        sources: Mapping[str, ModelSource],
        warmup_calls: int,
    ) -> None:
        self._engine = engine
        self._sources = dict(sources)
        self._warmup_calls = warmup_calls
        self._now_s: Callable[[], float] = lambda: engine.clock.now_ns() * 1e-9
        self._lock = threading.Lock()
        self._closed = False
        self._memories = [self._begin(*lane) for lane in lanes]

    def _begin(self, resource: Resource, worker: Worker, ours: bool) -> _Memory:
        """As many models as fit, in the order in which they were declared."""
        budget = resource.memory_bytes if ours else None
        left = math.inf if budget is None else budget
        lane = self._engine.lane(resource.name)
        copies = {}
        for model in self._engine.models:
            runs = lane in self._engine.candidates(model.name)
            if ours and not runs:
                continue
            fits = model.memory_bytes <= left
            left -= model.memory_bytes if fits else 0
            copies[model.name] = _Copy("ready" if fits else "absent", model.memory_bytes)
            if not fits:
                self._engine.unloaded(resource.name, model.name, _FIRST_LOAD_S)
        return _Memory(resource, worker, copies, budget is not None)

    def resident(self, lane: int) -> dict[str, ModelSource]:
        """What the lane's worker is to have loaded when it starts, again after a death too."""
        with self._lock:
            copies = self._memories[lane].copies.items()
            return {name: self._sources[name] for name, copy in copies if copy.state == "ready"}

    def started(self, lane: int) -> None:
        """The worker runs, perhaps again: all that it has is cold, and may be larger than declared."""
        memory = self._memories[lane]
        with self._lock:
            for name, loaded in memory.worker.loaded.items():
                copy = memory.copies[name]
                copy.n_calls = 0
                copy.n_bytes = max(copy.n_bytes, loaded.n_bytes)
                copy.load_s = max(loaded.seconds, 1e-6)
            self._wake(memory)

    def use(self, lane: int, model: str, then: Then) -> bool:
        """A run of the model begins on the lane, to be followed by `used`. True where it is loaded there; else it is
        going to be, and then(None) is called, or then(error) where it cannot be."""
        memory = self._memories[lane]
        with self._lock:
            copy = memory.copies[model]
            copy.wanted(self._now_s(), 1.0)
            copy.n_running += 1
            if copy.state == "ready":
                return True
            copy.waiting.append(then)
            self._wake(memory)
            return False

    def used(self, lane: int, model: str) -> bool:
        """The run is over; room may be made where it was. Whether it was among the first after a load."""
        memory = self._memories[lane]
        with self._lock:
            copy = memory.copies[model]
            copy.n_running -= 1
            copy.n_calls += 1
            if copy.n_running == 0 and memory.managed:
                self._wake(memory)
            return copy.n_calls <= self._warmup_calls

    def missed(self, models: Sequence[str]) -> None:
        """A job was refused that any of these could have run: one that is missed often enough is loaded, where the
        least useful has to leave."""
        with self._lock:
            now_s = self._now_s()
            best: tuple[float, _Memory, str] | None = None
            for memory in self._memories:
                for name in models:
                    copy = memory.copies.get(name)
                    if not memory.managed or copy is None or copy.state != "absent" or copy.waiting:
                        continue
                    use = copy.wanted(now_s, 1.0)
                    leaving = self._leaving(memory, name)
                    if leaving is None or use < _MISSED:
                        continue
                    lost = sum(memory.copies[other].wanted(now_s) for other in leaving)
                    if use > _MARGIN * lost and (best is None or lost < best[0]):
                        best = lost, memory, name
            if best is not None:
                best[1].copies[best[2]].waiting.append(lambda error: None)
                self._wake(best[1])

    def states(self) -> tuple[Residence, ...]:
        """Every model on every resource that can run it."""
        with self._lock:
            now_s = self._now_s()
            return tuple(
                Residence(m.resource.name, name, c.state, c.n_bytes, c.load_s, c.wanted(now_s), c.n_calls)
                for m in self._memories
                for name, c in m.copies.items()
            )

    def close(self) -> None:
        """Loads no more, and waits for what is being loaded; runs that wait for a model get a WorkerError."""
        with self._lock:
            self._closed = True
            threads = [memory.thread for memory in self._memories if memory.thread is not None]
            thens = [then for m in self._memories for copy in m.copies.values() for then in _all_of(copy)]
        for then in thens:
            then(WorkerError("the executor is closed"))
        for thread in threads:
            thread.join()

    def _wake(self, memory: _Memory) -> None:
        """Has what is wanted loaded, and what is too much unloaded. Under the lock."""
        if memory.thread is not None or self._closed:
            return
        if memory.next_wanted() is not None or self._leaving(memory, None):
            name = f"tailwise-load-{memory.resource.name}"
            memory.thread = threading.Thread(target=self._settle, args=(memory,), name=name, daemon=True)
            memory.thread.start()

    def _leaving(self, memory: _Memory, model: str | None) -> list[str] | None:
        """The least useful models that make room for this one (None: for those that are there); None while those that
        run leave too little."""
        if not memory.managed or memory.resource.memory_bytes is None:
            return []
        now_s, copies = self._now_s(), memory.copies
        short = memory.taken() - memory.resource.memory_bytes
        # one that is too large anyway is refused (`_load`), not waited for
        new = 0 if model is None else copies[model].n_bytes
        short += new if new <= memory.resource.memory_bytes else 0
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

    def _settle(self, memory: _Memory) -> None:
        while True:
            with self._lock:
                model = memory.next_wanted()
                leaving = self._leaving(memory, model)
                # None: `used` looks again
                if self._closed or leaving is None or (model is None and not leaving):
                    memory.thread = None
                    return
                for name in leaving:
                    memory.copies[name].state = "absent"
                if model is not None:
                    memory.copies[model].state = "loading"
            for name in leaving:
                self._unload(memory, name)
            if model is not None:
                self._load(memory, model)

    def _unload(self, memory: _Memory, model: str) -> None:
        log.info("%s: model %s leaves the memory", memory.resource.name, model)
        self._engine.unloaded(memory.resource.name, model, memory.copies[model].load_s)
        try:
            memory.worker.unload(model)
        except TailwiseError as error:  # it died, and has forgotten it anyway
            log.info("%s: %s", memory.resource.name, error)

    def _load(self, memory: _Memory, model: str) -> None:
        copy, resource, failure = memory.copies[model], memory.resource.name, None
        try:
            budget = memory.resource.memory_bytes
            if budget is not None and copy.n_bytes > budget:
                raise WorkerError(f"it takes {copy.n_bytes} bytes, and {resource!r} has {budget}")
            loaded = memory.worker.load(model, self._sources[model])
        except Exception as error:
            failure = error
            log.warning("%s: model %s could not be loaded: %s", resource, model, error)
            self._engine.unloaded(resource, model, _FAILED_LOAD_S)
        else:
            log.info(
                "%s: model %s loaded in %.3f s, %d bytes", resource, model, loaded.seconds, loaded.n_bytes
            )
            self._engine.loaded(resource, model)
        with self._lock:
            copy.n_calls = 0
            copy.state = "ready" if failure is None else "failed"
            if failure is None:
                copy.load_s, copy.n_bytes = max(loaded.seconds, 1e-6), max(copy.n_bytes, loaded.n_bytes)
            thens = _all_of(copy)
        for then in thens:
            then(failure)


def _all_of(copy: _Copy) -> list[Then]:
    """Whoever waits for it, no longer."""
    thens, copy.waiting = copy.waiting, []
    return thens
