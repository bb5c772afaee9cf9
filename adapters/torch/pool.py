"""The workers of an executor by lane: started together, masked while one is down, replaced when one dies."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from tailwise.adapters.torch.residency import Residency
from tailwise.adapters.torch.worker import ModelSource, Process, Thread, Worker, WorkerSpec
from tailwise.engine import Engine
from tailwise.errors import ConfigError
from tailwise.types import Resource

__all__ = ["Pool"]

log = logging.getLogger("tailwise.torch")

#: Seconds in which a load ends whose worker has.
_LOAD_ENDS_S = 1.0


class Pool:
    """given: by resource of the engine, a specification, or a started Worker that somebody else closes. models: what
    the workers load; `residency` says which. on_back(lane, n_slots): a replaced worker is there. Raises ConfigError.
    """

    def __init__(
        self,
        engine: Engine,
        models: Mapping[str, ModelSource],
        given: Mapping[str, WorkerSpec | Worker],
        warmup_calls: int,
        on_back: Callable[[int, int], None],
    ) -> None:
        self._engine = engine
        resources = self._resources = engine.resources
        self.workers = tuple(_worker(resource, given[resource.name]) for resource in resources)
        ours = [w is not given[r.name] for r, w in zip(resources, self.workers, strict=True)]
        self._owned = [lane for lane, own in enumerate(ours) if own]
        lanes = list(zip(resources, self.workers, ours, strict=True))
        self.residency = Residency(engine, lanes, models, warmup_calls)
        self._on_back = on_back
        self._missing: dict[int, int] = {}  # lane -> slots whose jobs died with their worker
        self._lock = threading.Lock()
        self._closed = False
        for lane, worker in enumerate(self.workers):
            worker.watch(partial(self._ended, lane))

    def __getitem__(self, lane: int) -> Worker:
        return self.workers[lane]

    def start(self) -> None:
        """Starts all at once (a process spends seconds importing torch); on an error none is left running."""
        if not self._owned:
            return
        with ThreadPoolExecutor(len(self._owned)) as threads:
            starts = [threads.submit(self._start, lane) for lane in self._owned]
        errors = [error for start in starts if (error := start.exception()) is not None]
        if errors:
            self.close()
            raise errors[0]

    def usable(self) -> int | None:
        """Bit set of the lanes that are here and whose worker runs; None when all of the engine's are."""
        lanes = self._engine.by_lane
        if not self._missing and lanes == self._resources:
            return None
        here = enumerate(self._resources)
        return sum(1 << k for k, r in here if lanes[k] is r and k not in self._missing)

    def lost_slot(self, lane: int) -> bool:
        """A job died with its worker. The first one starts a replacement; the slot comes back by `on_back`. A worker
        that its owner closed is left alone, and its lane gets no more jobs.

        True when a new worker runs already, and the slot can be used at once.
        """
        with self._lock:
            if lane not in self._missing and self.workers[lane].alive:
                return True
            self._down(lane, 1)
        return False

    def close(self, timeout_s: float = 0.0) -> None:
        """Ends every worker that it started, after a model that loads there, or after a time. Idempotent."""
        with self._lock:
            self._closed = True
        for worker in self.workers:
            worker.watch(None)
        loads = not self.residency.close(timeout_s)
        for lane in self._owned:
            self.workers[lane].close()
        if loads and not self.residency.close(_LOAD_ENDS_S):  # a process takes its load with it
            log.warning("a model is still being loaded: the thread is left to itself")

    def _ended(self, lane: int) -> None:
        """Its worker has, perhaps with no job that would tell."""
        with self._lock:
            if lane not in self._missing and not self.workers[lane].alive:
                self._down(lane, 0)

    def _down(self, lane: int, n_slots: int) -> None:
        """Its worker is gone, and slots with it; the first to say so starts a replacement. Under the lock."""
        first = lane not in self._missing
        self._missing[lane] = self._missing.get(lane, 0) + n_slots
        worker = self.workers[lane]
        if first and not self._closed and not worker.closed:
            log.warning("worker %s died; a new one is started", worker.name)
            name = f"tailwise-replace-{worker.name}"
            threading.Thread(target=self._replace, args=(lane,), name=name, daemon=True).start()

    def _start(self, lane: int) -> None:
        self.workers[lane].start(self.residency.resident(lane))
        self.residency.started(lane)

    def _replace(self, lane: int) -> None:
        worker = self.workers[lane]
        try:
            self._start(lane)
        except Exception:
            log.exception("worker %s could not be started again; it gets no more jobs", worker.name)
            return
        with self._lock:
            closed, n_slots = self._closed, self._missing.pop(lane)
        if closed:
            worker.close()
        else:
            self._on_back(lane, n_slots)


def _worker(resource: Resource, given: WorkerSpec | Worker) -> Worker:
    worker = given.build(resource.name) if isinstance(given, Thread | Process) else given
    if worker.slots != resource.slots:
        raise ConfigError(
            f"worker for {resource.name!r} has slots={worker.slots}, but the resource has slots={resource.slots}"
        )
    return worker
