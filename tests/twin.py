"""An engine beside the plain record of what was done to it, from which reference.py says what it should do."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

import tailwise as tw
from tailwise._core import reference as ref
from tests.record import Candidates, Job, context_of

LEVELS = (
    tw.QoS("urgent", 1.0, priority=0, contract="best_effort"),
    tw.QoS("lazy", 9.0, priority=3, contract="best_effort"),
)
TRACKED: dict[str | None, Callable[[int, int], int]] = {
    "running": lambda running, queued: running,
    "waiting": lambda running, queued: queued,
    "in_flight": lambda running, queued: running + queued,
}


class Twin:
    """One model on several resources. Times are seconds of a ManualClock that starts at 0."""

    def __init__(
        self,
        model: tw.Model,
        resources: Sequence[tw.Resource],
        *,
        qos: Sequence[tw.QoS] = LEVELS,
        profiles: Sequence[tw.Profile] = (),
        tau_s: float = math.inf,
        seed: int = 0,
    ) -> None:
        self.model, self.resources, self.tau_s, self.now_s = model, tuple(resources), tau_s, 0.0
        self.clock = tw.ManualClock()
        self.engine = tw.Engine(
            resources,
            [model],
            qos,
            profiles=profiles,
            clock=self.clock,
            tau_s=tau_s,
            seed=seed,
            detect_change=False,
            health=None,
        )
        self.routes = {q.priority: self.engine.route(model.name, q.name) for q in qos}
        k = len(self.resources)
        self.context = context_of(model)
        self.given = {p.resource: (p.ln_median, p.spread, p.weight) for p in profiles}
        self.evidence = [ref.Evidence.none(model.d) for _ in range(k)]
        self.seen_s = [0.0] * k  # when each profile was last faded
        self.counts = np.zeros((k, 2))  # succeeded, failed
        self.pending = [0] * k
        self.pool: tuple[int, ...] = ()  # lanes that profiles borrow from
        self.next_cold = 0
        self.tried = [r.name in self.given for r in self.resources]
        self.reported = np.full((k, len(model.columns)), np.nan)
        self.jobs: list[list[Job]] = [[] for _ in range(k)]  # by arrival
        self._served: list[Callable[[], ref.Served]] = [self._view(lane) for lane in range(k)]
        self._available = [ref.availability(0, 0)] * k

    # --- what happens to the engine -----------------------------------------------------------------------

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.now_s += seconds

    def report(self, lane: int, **values: float) -> None:
        self.engine.report(self.resources[lane].name, **values)
        for j, column in enumerate(self.model.columns):
            if column.name in values:
                self.reported[lane, j] = values[column.name]

    def select(
        self, u: tuple[float, ...], level: int = 0, Z: ref.Array | None = None, mask: int | None = None
    ) -> Job:
        ticket = self.routes[level].select(u, Z, mask=mask)
        lane = self.engine.lane(ticket.resource.name)
        _, m, s = ref.forecast_service(self.served(lane), self.row(lane, u, Z))
        budget_s = self._budget_s(level)
        job = Job(ticket, lane, level, m, s, ref.urgency(budget_s, budget_s, self.wait(lane, level)[0]))
        self.jobs[lane].append(job)
        self._start_next(lane)
        return job

    def start(self, job: Job) -> None:
        job.ticket.start()
        job.start_s = self.now_s if job.start_s is None else job.start_s

    def complete(self, job: Job, service_s: float) -> None:
        x, lane = job.ticket.features, job.lane
        job.ticket.complete(service_s)
        self._fade(lane)
        self.evidence[lane] = ref.observe(self.evidence[lane], x, math.log(max(service_s, 1e-9)))
        self.counts[lane, 0] += 1
        self.tried[lane] = True
        self._learned(lane)
        self._leave(job)

    def _learned(self, lane: int) -> None:
        """One row more: the served copies that follow it."""
        self.pool = ref.join_pool(self.pool, lane)
        self.pending[lane] += 1
        if self.pending[lane] >= np.clip(int(self.evidence[lane].n + 1e-9) // 8, 1, 64):
            self.pending[lane] = 0
            for r in (lane, *self._cold_ones()):
                self._served[r] = self._view(r)
                self._available[r] = ref.availability(*self.counts[r])

    def _cold_ones(self) -> list[int]:
        """Lanes without a result whose turn it is to hear of the others'."""
        seen = [data.n > 0 for data in self.evidence]
        group = ref.next_cold(seen, self.next_cold)
        if group is None:
            return []
        self.next_cold = group + 1
        return [r for r in range(64 * group, min(64 * group + 64, len(seen))) if not seen[r]]

    def fail(self, job: Job) -> None:
        job.ticket.fail()
        self._fade(job.lane)
        self.counts[job.lane, 1] += 1
        self.tried[job.lane] = True
        self._available[job.lane] = ref.availability(*self.counts[job.lane])
        self._leave(job)

    def cancel(self, job: Job) -> None:
        self._give_up(job, job.ticket.cancel)

    def timeout(self, job: Job) -> None:
        if job.start_s is not None:
            self._fade(job.lane)
            self.counts[job.lane, 1] += 1
            self.tried[job.lane] = True
            self._available[job.lane] = ref.availability(*self.counts[job.lane])
        self._give_up(job, job.ticket.timeout)

    def _give_up(self, job: Job, settle: Callable[[], None]) -> None:
        """Right-censored: what is expected of y beyond the time so far, as two rows of half a weight."""
        x, lane, served = job.ticket.features, job.lane, self.served(job.lane)
        settle()
        if job.start_s is not None and self.now_s > job.start_s:
            plain = len(x) - self.context.d + len(self.model.columns)
            _, m, s = ref.forecast_service(served, x[:plain])
            ln_c = math.log(self.now_s - job.start_s)
            if ln_c >= m:
                mean, var = ref.beyond((ln_c - m) / s, served.belief.dof)
                self._fade(lane)
                for side in (-1.0, 1.0):
                    y = m + s * (mean + side * math.sqrt(var))
                    self.evidence[lane] = ref.observe(self.evidence[lane], x, y, 0.5)
                self.tried[lane] = True
                self._learned(lane)
        self._leave(job)

    def learn(self, lane: int, u: tuple[float, ...], service_s: float, Z: ref.Array | None = None) -> None:
        """One completion on one lane."""
        level = min(self.routes)
        job = Job(self.routes[level].select(u, Z, mask=1 << lane), lane, level, math.nan, math.nan)
        self.jobs[lane].append(job)
        self.complete(job, service_s)

    def redraw(self, lane: int, u: tuple[float, ...]) -> None:
        """A job that starts and is cancelled at once: the lane's line of residuals is drawn at this moment."""
        ticket = self.routes[min(self.routes)].select(u, mask=1 << lane)
        ticket.start()
        ticket.cancel()

    # --- what reference.py makes of it --------------------------------------------------------------------

    def belief(self, lane: int) -> ref.Posterior:
        """The posterior now."""
        return ref.posterior(self._now(lane), self._prior(lane))

    def served(self, lane: int) -> ref.Served:
        """The posterior as of the lane's last rebuild."""
        return self._served[lane]()

    def row(self, lane: int, u: tuple[float, ...], Z: ref.Array | None) -> ref.Array:
        """Encoded request and columns of one lane; NaN where a column is unknown."""
        features = [f for f in self.model.features if isinstance(f, tw.Feature)]
        x = ref.encode_features(u, [f.typical or 0.0 for f in features], [f.knee for f in features])
        running = sum(j.start_s is not None for j in self.jobs[lane])
        columns = []
        for j, column in enumerate(self.model.columns):
            value = 0.0
            if column.tracked:
                value = TRACKED[column.tracked](running, len(self.jobs[lane]) - running)
            elif column.reported:
                value = self.reported[lane, j]
            if column.given:
                value += math.nan if Z is None else Z[self.model.given.index(column.given), lane]
            columns.append(ref.encode_column(value, column.scale))
        return np.array([*x, *columns])

    def wait(self, lane: int, level: int) -> tuple[float, float]:
        resource, jobs = self.resources[lane], self.jobs[lane]
        running = [(j.m, j.s, self.now_s - j.start_s) for j in jobs if j.start_s is not None]
        queued = [(j.level, j.m, j.s) for j in jobs if j.start_s is None]
        return ref.wait(running, queued, resource.slots, level, resource.discipline == "fifo")

    def candidates(
        self, u: tuple[float, ...], level: int, Z: ref.Array | None = None, mask: int | None = None
    ) -> Candidates:
        k = len(self.resources)
        usable = np.array([mask is None or bool(mask >> lane & 1) for lane in range(k)])
        served = [self.served(lane) for lane in range(k)]
        x, m, s = zip(*(ref.forecast_service(served[r], self.row(r, u, Z)) for r in range(k)), strict=True)
        waits, wait_vars = zip(*(self.wait(r, level) for r in range(k)), strict=True)
        n_open = np.array([len(jobs) for jobs in self.jobs])
        names = (
            {r.name for r in self.resources} if self.model.resources is None else set(self.model.resources)
        )
        usable &= np.array([r.name in names for r in self.resources])
        median = ref.favour_untried(np.exp(m), usable, ~np.array(self.tried), n_open)
        offset = np.where(usable, [r.offset_s for r in self.resources], np.inf)
        available = np.array(self._available)
        size = np.array([np.abs(v.belief.mean * row).sum() for v, row in zip(served, x, strict=True)])
        # d + 3 roundings of 2^-24 of terms that add up to `size`, exp to 2e-7, a handful of operations
        error = (self.model.d + 3) * 2.0**-24 * size + 1e-6
        left_s = self._budget_s(level)
        least, most = (
            ref.is_late(np.array(waits) * part, median * part, left_s) for part in (1 - error, 1 + error)
        )
        return Candidates(
            m=np.array(m),
            s=np.array(s),
            dof=np.array([v.belief.dof for v in served]),
            x=np.array(x),
            wait_s=np.array(waits),
            wait_var=np.array(wait_vars),
            available=available,
            cost_s=ref.cost(
                np.array(waits), median, self._crowd(), ref.patience(left_s), left_s, available, offset
            ),
            n_open=n_open,
            error=np.where(least == most, error, 10.0),
        )

    # --- inside -------------------------------------------------------------------------------------------

    def _crowd(self) -> ref.Array:
        queued = [sum(job.urgency for job in jobs if job.start_s is None) for jobs in self.jobs]
        return np.array(queued) / [r.slots for r in self.resources]

    def _budget_s(self, level: int) -> float:
        return next(q.deadline_s for q in self.engine.qos if q.priority == level)

    def _now(self, lane: int) -> ref.Evidence:
        return ref.fade(self.evidence[lane], self.now_s - self.seen_s[lane], self.tau_s)

    def _fade(self, lane: int) -> None:
        age_s = self.now_s - self.seen_s[lane]
        if age_s > 0:
            self.evidence[lane] = self._now(lane)
            self.counts[lane] *= ref.kept(self.counts[lane].sum(), age_s, self.tau_s)
        self.seen_s[lane] = self.now_s

    def _prior(self, lane: int) -> ref.Prior:
        others = [self._now(r) for r in self.pool if r != lane]
        return ref.prior_of(others, self.model.d, self.context.d, self.given.get(self.resources[lane].name))

    def _view(self, lane: int) -> Callable[[], ref.Served]:
        """The lane's served copy as of now, worked out when it is first asked for."""
        lanes = {lane, *self.pool}
        rows = {r: (self.evidence[r], self.now_s - self.seen_s[r]) for r in lanes}
        given = self.given.get(self.resources[lane].name)

        @lru_cache(maxsize=1)
        def served() -> ref.Served:
            known = {r: ref.fade(data, age_s, self.tau_s) for r, (data, age_s) in rows.items()}
            own = known.pop(lane)
            prior = ref.prior_of(list(known.values()), self.model.d, self.context.d, given)
            return ref.serve(ref.posterior(own, prior), own, self.context)

        return served

    def _leave(self, job: Job) -> None:
        self.jobs[job.lane].remove(job)
        self._start_next(job.lane)

    def _start_next(self, lane: int) -> None:
        """First come, first served: starts are inferred from the slots."""
        if self.resources[lane].discipline != "fifo":
            return
        for job in self.jobs[lane]:
            if sum(j.start_s is not None for j in self.jobs[lane]) < self.resources[lane].slots:
                job.start_s = self.now_s if job.start_s is None else job.start_s
