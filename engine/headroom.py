"""How much more load each class could take: a signal for whoever adds and removes resources."""

from __future__ import annotations

import math
import threading
from collections import Counter, deque
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tailwise._core.core import Core
from tailwise.engine import Engine
from tailwise.errors import InputError, UnknownName
from tailwise.loaded import Jobs, Lognormal
from tailwise.mix import Mix
from tailwise.numbered import prompt_of
from tailwise.places import Place
from tailwise.route import Route
from tailwise.validate import as_row

__all__ = ["Headroom"]

N_KEPT = 128  #: last jobs of each model and class that stand for those to come,
KEPT_EVERY_S = 0.05  #: one in so many seconds: so they are not all of one burst, and the others cost a count
N_CELLS = 1 << 12  #: jobs x resources that are looked at: fewer of each kind where there are many
N_LEAST = 20  #: jobs of a class in the window from which on its rate is known, to a quarter
SETTLED_S = 5.0  #: after the first job, before which no rate is known
AGAIN_S = 5.0  #: for so long an answer stands


class Headroom:
    """By what share the arrivals of everything could grow before a class no longer keeps its promise.

    Tell it of every job that comes with `offered`, and ask `headroom("chat")`: .35 = with 35% more of everything the
    class's on-time share falls to its on_time; 0 = there is none; -.2 = a fifth of the present load is too much; -1 =
    not even at the least load would enough be on time; None = not known (fewer than 20 jobs of the class in the
    window, or nobody knows how long they take).

    window_s: seconds over which rates are counted, in 1..3600. Deterministic. May be called from any thread.

    How: the mix is that of the last jobs of each model and class; what they take comes from the posteriors, as on
    resources that are full. A packing by prices (`saturation.place`) tells at which factor the classes up to each
    priority fill the resources, and the wait of priority queues (`saturation.lost_share`) how many jobs of a class
    then start too late. The largest factor at which what is left reaches on_time is found by bisection. Where answers
    come token by token a resource is slower by the share of its time in which it reads prompts, and a soft capacity
    ends where half of what may miss its bounds does. It knows nothing of arrivals burstier than Poisson, nor what a
    reported column would say under more load, and takes what others send for constant. bench/README.md has how far it
    is off in replays.
    """

    def __init__(self, engine: Engine, *, window_s: float = 60.0) -> None:
        if not 1.0 <= window_s <= 3600.0:
            raise InputError(f"Headroom: window_s={window_s!r}: seconds in 1..3600 are expected")
        self._engine = engine
        self._window_s = window_s
        self._lock = threading.Lock()  # of the arrivals, held for moments
        self._working = threading.Lock()  # of who works it out; others get what was told before
        self._arrivals: dict[tuple[str, str], _Arrivals] = {}
        self._since_s: float | None = None
        self._told: dict[str, float | None] = {}
        self._told_s = -math.inf

    def offered(
        self,
        model: str,
        qos: str,
        x: Sequence[float] | NDArray[np.float64],
        Z: NDArray[np.float64] | None = None,
        *,
        lane: int = -1,
        left_s: float | None = None,
        tpot_s: float | None = None,
    ) -> None:
        """A job came, whatever was decided on it.

        model, qos: names; of a family the variant that was chosen. x, Z: as in `Route.select`; Z tells, where the
        model has such a column, how many tokens the job had to have read. lane: where it went (`ticket.lane`), -1 =
        nowhere. left_s, tpot_s: bounds of its own (`ticket.left_s`); None = its class's. Raises UnknownName;
        InputError where the job is one of those that are looked at, at most 20 a second of a kind. Cost: a
        microsecond, of those ten.
        """
        now_s = self._engine.clock.now_ns() * 1e-9
        arrivals = self._arrivals.get((model, qos))
        if arrivals is None:
            arrivals = _Arrivals(self._engine, self._engine.route(model, qos), self._window_s)
        job = None
        if not arrivals.kept_s <= now_s < arrivals.kept_s + KEPT_EVERY_S:
            job = arrivals.kept(self._engine._core, x, Z, lane, left_s, tpot_s)
        with self._lock:
            if self._since_s is None:
                self._since_s = now_s
            self._arrivals.setdefault((model, qos), arrivals).add(now_s, job)

    def __call__(self, qos: str) -> float | None:
        """The share by which all arrivals may grow before this class misses its on_time. Raises UnknownName.

        Worked out for all classes at most every five seconds. Cost then: some 3 ms for each resource with a soft
        capacity, .3 for others, and 2 for each priority.
        """
        if not any(q.name == qos for q in self._engine.qos):
            raise UnknownName(f"no class {qos!r}; there are {', '.join(q.name for q in self._engine.qos)}")
        now_s = self._engine.clock.now_ns() * 1e-9
        if not self._told_s <= now_s < self._told_s + AGAIN_S and self._working.acquire(blocking=False):
            try:
                self._told, self._told_s = self._work_out(now_s), now_s
            finally:
                self._working.release()
        return self._told.get(qos)

    def _work_out(self, now_s: float) -> dict[str, float | None]:
        core = self._engine._core
        open_lanes = [
            (lane, resource)
            for lane, resource in enumerate(self._engine.by_lane)
            if resource is not None and core.takes_jobs(lane)
        ]
        with self._lock:
            if self._since_s is None or now_s < self._since_s + SETTLED_S:
                return {}
            window_s = min(self._window_s, now_s - self._since_s)
            seen = [(n, a) for a in self._arrivals.values() if (n := a.count(now_s))]
            n_each = max(4, N_CELLS // max(len(seen) * len(open_lanes), 1))
            last = [list(a.last)[-n_each:] for _, a in seen]
        counts: Counter[str] = Counter()
        for n, arrivals in seen:
            counts[arrivals.route.qos.name] += n
        enough = [qos for qos, n in counts.items() if n >= N_LEAST]
        if not open_lanes or not enough:
            return dict.fromkeys(enough, -1.0)
        kinds = [a.jobs(core, some, n / window_s) for (n, a), some in zip(seen, last, strict=True)]
        mix = Mix.of(kinds, [Place.of(core, kinds, lane, resource) for lane, resource in open_lanes])
        return {qos: mix.headroom(qos) for qos in enough}


class _Job(NamedTuple):
    x: NDArray[np.float64]  # encoded
    own: float | None
    lane: int
    left_s: float | None
    tpot_s: float | None


class _Arrivals:
    """Of one model and class: how many came in each second of the window, a ring, and the last of them."""

    __slots__ = ("_counts", "_seconds", "index", "kept_s", "last", "route")

    def __init__(self, engine: Engine, route: Route, window_s: float) -> None:
        self.route = route
        self.index = engine.models.index(route.model)
        self._seconds = [-1] * math.ceil(window_s)
        self._counts = [0] * math.ceil(window_s)
        self.last: deque[_Job] = deque(maxlen=N_KEPT)
        self.kept_s = -math.inf

    def kept(
        self,
        core: Core,
        x: Sequence[float] | NDArray[np.float64],
        Z: NDArray[np.float64] | None,
        lane: int,
        left_s: float | None,
        tpot_s: float | None,
    ) -> _Job:
        model = self.route.model
        row = as_row(f"Model {model.name!r}", x, len(model.features))
        own = [model.given.index(c.given) for c in model.columns if c.tracked == "prefill_tokens" and c.given]
        tokens = row[prompt_of(model) - 1] if prompt_of(model) else None
        if own and Z is not None and lane >= 0 and not math.isnan(Z[own[0], lane]):
            tokens = float(Z[own[0], lane])
        return _Job(core.encode(self.index, row), tokens, lane, left_s, tpot_s)

    def add(self, now_s: float, job: _Job | None) -> None:
        """job: None = it is counted and not kept."""
        second = math.floor(now_s)
        place = second % len(self._seconds)
        if self._seconds[place] != second:
            self._seconds[place], self._counts[place] = second, 0
        self._counts[place] += 1
        if job is not None:
            self.last.append(job)
            self.kept_s = now_s

    def count(self, now_s: float) -> int:
        """In the seconds of the window."""
        last = math.floor(now_s)
        first = last - len(self._seconds)
        return sum(n for s, n in zip(self._seconds, self._counts, strict=True) if first < s <= last)

    def jobs(self, core: Core, last: Sequence[_Job], rate: float) -> Jobs:
        """Some of the last of them."""
        model, qos = self.route.model, self.route.qos
        x = np.array([job.x for job in last])
        bound_s = qos.ttft_s if qos.ttft_s < math.inf else qos.deadline_s
        left_s = np.array([bound_s if job.left_s is None else job.left_s for job in last])
        tpot_s = np.array([qos.tpot_s if job.tpot_s is None else job.tpot_s for job in last])
        tokens = None
        if model.streams:
            lengths = np.array([core.length(self.index, row)[:2] for row in x])
            tokens = Lognormal(lengths[:, 0], lengths[:, 1])
        own = [job.own for job in last if job.own is not None]
        return Jobs(
            model,
            self.index,
            qos,
            rate,
            x,
            left_s,
            tpot_s,
            tokens,
            own=np.array(own) if len(own) == len(last) else None,
            lanes=np.array([job.lane for job in last]),
        )
