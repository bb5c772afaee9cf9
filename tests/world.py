"""A small world under a manual clock: open-loop arrivals, resources with slots and queues, outliers, events.

Everything goes through the public API: `Learned` decides, `Dispatch` queues, results stream back. Same seed and
scenario, same arrivals and service times whatever is decided (paired): the time of (job, resource) is drawn from
a hash of both, not in the order of starts.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.optimize import linprog

import tailwise as tw
from tailwise.dispatch import Dispatch
from tailwise.job import Job, Orders, Run
from tailwise.policy import Learned

SECOND = 1_000_000_000
PATIENCE_S = 10.0  # after which a caller gives up on a job that hangs
NO_RULES = tw.Rules(start_test=False, re_decide=False, hedge=False)


@dataclass
class Server:
    """One resource. speed: divides service times. mode "fails": every job fails after 5 ms; "hangs": nobody
    hears of a job again, and its caller gives it up after PATIENCE_S."""

    name: str
    slots: int = 1
    speed: float = 1.0
    mode: str = "well"


@dataclass(frozen=True)
class Load:
    """One stream of jobs. median_s: service at batch 1 on speed 1; it grows with batch^0.8."""

    model: str
    qos: tw.QoS
    share: float
    median_s: float


LOADS = (
    Load("small", tw.QoS("interactive", 0.08, on_time=0.95, priority=0), 0.5, 0.006),
    Load("middle", tw.QoS("standard", 0.4, on_time=0.9, priority=1), 0.3, 0.016),
    Load("large", tw.QoS("batch", 3.0, on_time=0.8, priority=2), 0.2, 0.045),
)


@dataclass(frozen=True)
class Scenario:
    """What happens. load: share of the capacity of the well fleet. events: (second, what happens to the servers)."""

    servers: tuple[Server, ...] = tuple(Server(f"r{i}", 1 + i % 2, 0.6 + 0.2 * i) for i in range(6))
    loads: tuple[Load, ...] = LOADS
    load: float = 0.8
    duration_s: float = 60.0
    sigma: float = 0.2  # of ln(service), per job and resource
    affinity: float = 0.3  # sd of ln(service) per (resource, model): which one is best depends on the model
    outliers: float = 0.003  # share of jobs that take 20 times as long
    events: tuple[tuple[float, Callable[[dict[str, Server]], None]], ...] = ()


def slow_fail_hang(duration_s: float) -> tuple[tuple[float, Callable[[dict[str, Server]], None]], ...]:
    """One resource three times slower, one failing fast, one hanging, each for a sixth of the time, in turn."""
    step = duration_s / 7

    def change(name: str, **fields: object) -> Callable[[dict[str, Server]], None]:
        def apply(servers: dict[str, Server]) -> None:
            for key, value in fields.items():
                setattr(servers[name], key, value)

        return apply

    well_speed = Scenario().servers[4].speed
    return (
        (1 * step, change("r4", speed=well_speed / 3)),
        (2 * step, change("r4", speed=well_speed)),
        (3 * step, change("r3", mode="fails")),
        (4 * step, change("r3", mode="well")),
        (5 * step, change("r5", mode="hangs")),
        (6 * step, change("r5", mode="well")),
    )


@dataclass(frozen=True)
class Request:
    index: int
    load: Load
    batch: float


@dataclass
class Outcomes:
    """One row a decision, in order of arrival; seconds. kind: an End, or "rejected", or "open" at the end."""

    qos: list[str] = field(default_factory=list)
    arrival_s: list[float] = field(default_factory=list)
    lane: list[int] = field(default_factory=list)  #: where it was assigned; -1 = nowhere
    claim: list[float] = field(default_factory=list)
    raw: list[float] = field(default_factory=list)  #: P(on time) by the forecast alone
    kind: list[str] = field(default_factory=list)
    completion_s: list[float] = field(default_factory=list)
    on_time: list[bool] = field(default_factory=list)
    moves: list[int] = field(default_factory=list)
    hedged: list[bool] = field(default_factory=list)

    def of(self, qos: str | None = None, after_s: float = 0.0) -> dict[str, np.ndarray]:
        """Columns as arrays, of one class (None: all) and of arrivals after a time."""
        chosen = np.array([q == qos or qos is None for q in self.qos]) & (np.array(self.arrival_s) >= after_s)
        return {name: np.array(column)[chosen] for name, column in vars(self).items()}

    def goodput(self, after_s: float = 0.0) -> float:
        """On-time jobs over offered jobs."""
        return float(self.of(None, after_s)["on_time"].mean())


class World:
    """Plays a scenario. owns_queues False: resources queue by themselves, first come, first served.
    rules: of engine-owned queues."""

    def __init__(
        self,
        scenario: Scenario,
        seed: int = 0,
        *,
        owns_queues: bool = True,
        rules: tw.Rules | None = None,
        engine: Callable[..., tw.Engine] = tw.Engine,
    ) -> None:
        self.scenario, self.owns_queues = scenario, owns_queues
        self.servers = {s.name: Server(s.name, s.slots, s.speed, s.mode) for s in scenario.servers}
        self.clock = tw.ManualClock()
        self.engine = engine(
            [tw.Resource(s.name, slots=s.slots) for s in scenario.servers],
            [tw.Model(m, features=(tw.Feature("batch", typical=4),)) for m in _models(scenario.loads)],
            [load.qos for load in scenario.loads],
            clock=self.clock,
            seed=seed,
        )
        if owns_queues:
            for server in scenario.servers:
                self.engine.own_queue(server.name)
        self.policy = Learned(self.engine)
        self.dispatch: Dispatch[Request] = Dispatch(
            [s.slots for s in scenario.servers],
            self.policy,
            min_share={load.qos.name: load.qos.min_share for load in scenario.loads},
            rules=rules if owns_queues else NO_RULES,
        )
        self.outcomes = Outcomes()
        self.now_ns = 0
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._seed = seed
        rng = np.random.default_rng([seed, 1])
        n_models = len(_models(scenario.loads))
        self._affinity = rng.normal(0.0, scenario.affinity, (len(scenario.servers), n_models))
        self.rate = self.capacity() * scenario.load  # jobs a second

    def run(self) -> Outcomes:
        """Plays the whole scenario and what is left of it when arrivals end."""
        for at_s, change in self.scenario.events:
            self._at(int(at_s * SECOND), lambda change=change: change(self.servers))
        for index, (at_ns, load, batch) in enumerate(self.arrivals()):
            self._advance(at_ns)
            self._arrive(index, load, batch)
        self._advance(self.now_ns + int(max(load.qos.deadline_s for load in self.scenario.loads) * SECOND))
        return self.outcomes

    def capacity(self) -> float:
        """Jobs a second of this mix that the well fleet serves, each job where it is best: a linear program."""
        loads, servers = self.scenario.loads, self.scenario.servers
        n, m = len(servers), len(loads)
        mean_batch = float(np.mean(np.arange(1, 9) ** 0.8))
        scale = np.exp(0.5 * self.scenario.sigma**2) * (1 + 19 * self.scenario.outliers) * mean_batch
        models = _models(loads)
        seconds = np.array(
            [
                [
                    load.median_s * scale / s.speed * np.exp(self._affinity[i, models.index(load.model)])
                    for load in loads
                ]
                for i, s in enumerate(servers)
            ]
        )
        # x[i, j]: jobs a second of load j on server i; the last variable is the total rate
        busy = np.zeros((n, n * m + 1))
        mix = np.zeros((m, n * m + 1))
        for i in range(n):
            busy[i, i * m : (i + 1) * m] = seconds[i]
        for j, load in enumerate(loads):
            mix[j, j : n * m : m] = 1.0
            mix[j, -1] = -load.share
        goal = np.zeros(n * m + 1)
        goal[-1] = -1.0
        slots = [s.slots for s in servers]
        return float(-linprog(goal, A_ub=busy, b_ub=slots, A_eq=mix, b_eq=np.zeros(m)).fun)

    def arrivals(self) -> list[tuple[int, Load, float]]:
        """(nanoseconds, load, batch) of every job: a Poisson stream, each job's load drawn by share."""
        rng = np.random.default_rng([self._seed, 2])
        rate = self.rate
        times = np.cumsum(rng.exponential(1.0 / rate, int(rate * self.scenario.duration_s * 1.2) + 50))
        times = times[times < self.scenario.duration_s]
        loads = rng.choice(
            len(self.scenario.loads), len(times), p=[load.share for load in self.scenario.loads]
        )
        batches = rng.integers(1, 9, len(times))
        return [
            (int(t * SECOND), self.scenario.loads[i], float(b))
            for t, i, b in zip(times, loads, batches, strict=True)
        ]

    def service(self, job: Request, lane: int) -> tuple[float, bool]:
        """(seconds, fails) of a job that starts now on a lane."""
        server = self.servers[self.scenario.servers[lane].name]
        if server.mode == "fails":
            return 0.005, True
        if server.mode == "hangs":
            return PATIENCE_S, True
        rng = np.random.default_rng([self._seed, 3, job.index, lane])
        z, outlier = rng.standard_normal(), rng.random() < self.scenario.outliers
        model = _models(self.scenario.loads).index(job.load.model)
        ln = self.scenario.sigma * z + self._affinity[lane, model]
        seconds = job.load.median_s * job.batch**0.8 / server.speed * float(np.exp(ln))
        return seconds * (20.0 if outlier else 1.0), False

    # --- inside -------------------------------------------------------------------------------------------

    def _at(self, ns: int, do: Callable[[], None]) -> None:
        heapq.heappush(self._events, (ns, next(self._order), do))

    def _advance(self, until_ns: int) -> None:
        """Plays ends, events and what the clock brings up to a moment, in order of time."""
        while True:
            event_ns = self._events[0][0] if self._events else until_ns + 1
            due_ns = self.dispatch.next_due_ns() or until_ns + 1
            if min(event_ns, due_ns) > until_ns:
                break
            self._set(min(event_ns, due_ns))
            if due_ns <= event_ns:
                self._carry_out(self.dispatch.due(self.now_ns))
            else:
                heapq.heappop(self._events)[-1]()
        self._set(until_ns)

    def _set(self, now_ns: int) -> None:
        self.now_ns = now_ns
        self.clock.set(now_ns / SECOND)

    def _arrive(self, index: int, load: Load, batch: float) -> None:
        # a resource that queues by itself serves in order of arrival and knows no deadline
        qos = load.qos if self.owns_queues else replace(load.qos, priority=0, deadline_s=1e9)
        rows = self.outcomes
        rows.qos.append(load.qos.name)
        rows.arrival_s.append(self.now_ns / SECOND)
        rows.kind.append("open")
        rows.completion_s.append(np.inf)
        rows.on_time.append(False)
        rows.moves.append(0)
        rows.hedged.append(False)
        request = Request(index, load, batch)
        job, orders = self.dispatch.submit(request, load.model, qos, (batch,), self.now_ns)
        rows.lane.append(job.assignment.lane)
        rows.claim.append(job.assignment.p_on_time or 0.0)
        rows.raw.append(job.assignment.ticket.p_raw or 0.0 if job.assignment.ticket else 0.0)
        self._carry_out(orders)

    def _carry_out(self, orders: Orders[Request]) -> None:
        for run in orders.start:
            seconds, fails = self.service(run.job.payload, run.lane)
            self._at(self.now_ns + int(seconds * SECOND), lambda run=run, fails=fails: self._end(run, fails))
        for job in orders.ended:
            self._write(job)

    def _end(self, run: Run[Request], fails: bool) -> None:
        self._carry_out(self.dispatch.ended(run, "failed" if fails else "completed", self.now_ns))

    def _write(self, job: Job[Request]) -> None:
        rows, i = self.outcomes, job.payload.index
        rows.kind[i], rows.moves[i], rows.hedged[i] = str(job.end), job.n_moves, job.hedged
        if job.end != "rejected":
            took_s = rows.completion_s[i] = (job.end_ns - job.arrival_ns) / SECOND
            rows.on_time[i] = job.end == "completed" and took_s <= job.payload.load.qos.deadline_s


def _models(loads: Sequence[Load]) -> list[str]:
    return list(dict.fromkeys(load.model for load in loads))
