"""Which models each worker has in memory: loaded when a job needs them, the least useful unloaded to make room."""

from __future__ import annotations

import contextlib
import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from tailwise.adapters.torch.memory import Copy, Memory, Residence, Then
from tailwise.adapters.torch.worker import ModelSource, Worker, as_exception
from tailwise.engine import Engine
from tailwise.errors import TailwiseError, WorkerError
from tailwise.types import Resource

__all__ = ["Residency"]

log = logging.getLogger("tailwise.torch")

#: Seconds that a load is taken to need before one was measured, and after one that failed.
_FIRST_LOAD_S, _FAILED_LOAD_S = 1.0, 3600.0
#: Jobs refused lately for want of a model, beyond the use of what must leave, that have it loaded unasked: loads cost
#: seconds of the device, and two models that are wanted alike must not take turns.
_MISSED, _MARGIN = 3.0, 1.5


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

    def _begin(self, resource: Resource, worker: Worker, ours: bool) -> Memory:
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
            copies[model.name] = Copy("ready" if fits else "absent", model.memory_bytes, _FIRST_LOAD_S)
            if not fits:
                self._engine.unloaded(resource.name, model.name, _FIRST_LOAD_S)
            elif runs:  # an executor before this one may have said otherwise
                self._engine.loaded(resource.name, model.name)
        return Memory(resource, lane, worker, copies, budget is not None)

    def resident(self, lane: int) -> dict[str, ModelSource]:
        """What the lane's worker is to have loaded when it starts, again after a death too."""
        with self._lock:
            copies = self._memories[lane].copies.items()
            return {name: self._sources[name] for name, copy in copies if copy.state == "ready"}

    def started(self, lane: int) -> None:
        """The worker runs, perhaps again: all that it has is cold, and may be larger than declared."""
        memory = self._memories[lane]
        with self._lock:
            has = memory.worker.loaded
            for name, loaded in has.items():
                copy = memory.copies[name]
                copy.n_calls = 0
                copy.n_bytes = max(copy.n_bytes, loaded.n_bytes)
                copy.load_s = max(loaded.seconds, 1e-6)
            for name, copy in memory.copies.items():
                if copy.state == "ready" and name not in has:  # it was loaded just when the last one died
                    copy.state = "absent"
                    self._say(memory, name, copy.load_s)
            self._wake(memory)

    def use(self, lane: int, model: str, then: Then) -> bool:
        """A run of the model begins on the lane, to be followed by `used`. True where it is loaded there; else it is
        going to be, and then(None) is called, or then(error) where it cannot be.

        While another model waits for room, runs of those that are there wait behind it: else it could wait for ever.
        """
        memory = self._memories[lane]
        with self._lock:
            copy, now_s = memory.copies[model], self._now_s()
            copy.wanted(now_s, 1.0)
            if copy.state == "ready" and not memory.short:
                copy.n_running += 1
                return True
            copy.wait(then, now_s)
            self._wake(memory)
            thens = memory.let_go() if self._closed else []
        self._tell(thens, WorkerError("the executor is closed"))
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
            best: tuple[float, Memory, str] | None = None
            for memory in self._memories:
                for name in models:
                    copy = memory.copies.get(name)
                    if (
                        not memory.managed
                        or copy is None
                        or copy.state != "absent"
                        or copy.waiting
                        or copy.wished
                    ):
                        continue
                    use = copy.wanted(now_s, 1.0)
                    leaving = memory.leaving(name, now_s)
                    if leaving is None or use < _MISSED:
                        continue
                    lost = sum(memory.copies[other].wanted(now_s) for other in leaving)
                    if use > _MARGIN * lost and (best is None or lost < best[0]):
                        best = lost, memory, name
            if best is not None:
                copy = best[1].copies[best[2]]
                copy.wished, copy.since_s = True, now_s
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

    def close(self, timeout_s: float) -> bool:
        """Loads no more, and waits for what is being loaded, up to a time: whether that has ended. Runs that wait for
        a model get a WorkerError."""
        end_s = time.monotonic() + timeout_s
        with self._lock:
            self._closed = True
            threads = [memory.thread for memory in self._memories if memory.thread is not None]
            thens = [then for memory in self._memories for then in memory.let_go()]
        self._tell(thens, WorkerError("the executor is closed"))
        for thread in threads:
            thread.join(max(0.0, end_s - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)

    def _wake(self, memory: Memory) -> None:
        """Has what is wanted loaded, and what is too much unloaded. Under the lock."""
        if memory.thread is not None or self._closed:
            return
        if memory.next_wanted() is not None or memory.leaving(None, self._now_s()):
            name = f"tailwise-load-{memory.resource.name}"
            memory.thread = threading.Thread(target=self._settle, args=(memory,), name=name, daemon=True)
            memory.thread.start()

    def _settle(self, memory: Memory) -> None:
        """Of the memory's thread: until nothing is wanted that has room."""
        while True:
            with self._lock:
                model, alive = memory.next_wanted(), memory.worker.alive
                leaving = memory.leaving(model, self._now_s()) if alive else []
                if leaving is None and model is not None and not memory.copies[model].waiting:
                    memory.copies[model].wished = False  # a wish holds nobody back
                    continue
                memory.short = leaving is None and model is not None
                ends = self._closed or not alive or leaving is None or (model is None and not leaving)
                if ends:
                    memory.thread = None  # `used` looks again
                else:
                    for name in leaving or ():
                        memory.copies[name].state = "absent"
                    if model is not None:
                        memory.copies[model].state = "loading"
                        memory.copies[model].wished = False
                # nobody is held back any longer; a dead worker loads nothing
                thens = [] if memory.short else memory.let_go(ready=alive)
            self._tell(thens, None if alive else WorkerError(f"worker {memory.worker.name!r} has ended"))
            if ends:
                return
            for name in leaving or ():
                self._unload(memory, name)
            if model is not None:
                self._load(memory, model)

    def _unload(self, memory: Memory, model: str) -> None:
        log.info("%s: model %s leaves the memory", memory.resource.name, model)
        self._say(memory, model, memory.copies[model].load_s)
        try:
            memory.worker.unload(model)
        except TailwiseError as error:  # it died, and has forgotten it anyway
            log.info("%s: %s", memory.resource.name, error)

    def _load(self, memory: Memory, model: str) -> None:
        copy, resource, failure = memory.copies[model], memory.resource, None
        try:
            if resource.memory_bytes is not None and copy.n_bytes > resource.memory_bytes:
                raise WorkerError(
                    f"it takes {copy.n_bytes} bytes, and {resource.name!r} has {resource.memory_bytes}"
                )
            loaded = memory.worker.load(model, self._sources[model])
        except BaseException as error:  # what builds a model may raise anything
            failure = as_exception(error)
            log.warning("%s: model %s could not be loaded: %s", resource.name, model, failure)
        else:
            log.info(
                "%s: model %s loaded in %.3f s, %d bytes",
                resource.name,
                model,
                loaded.seconds,
                loaded.n_bytes,
            )
        with self._lock:
            copy.n_calls = 0
            if failure is None:
                copy.state = "ready"
                copy.load_s, copy.n_bytes = max(loaded.seconds, 1e-6), max(copy.n_bytes, loaded.n_bytes)
                self._say(memory, model, 0.0)
            elif memory.worker.alive:
                copy.state = "failed"
                self._say(memory, model, _FAILED_LOAD_S)
            else:  # its end says nothing of the model
                copy.state = "absent"
            thens = copy.let_go()
        self._tell(thens, failure)

    def _say(self, memory: Memory, model: str, load_s: float) -> None:
        """To the engine, unless the resource was removed from it. load_s: 0 = it is loaded."""
        name = memory.resource.name
        with contextlib.suppress(TailwiseError):
            if self._engine.by_lane[memory.lane] is not memory.resource:
                return
            if load_s:
                self._engine.unloaded(name, model, load_s)
            else:
                self._engine.loaded(name, model)

    @staticmethod
    def _tell(thens: Sequence[Then], error: BaseException | None) -> None:
        """Not under the lock."""
        for then in thens:
            try:
                then(error)
            except BaseException:  # no later model would be loaded
                log.exception("a run that waited for its model could not be started")
