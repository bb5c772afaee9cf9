"""Many threads on one engine: nothing is lost, nothing is counted twice, and no state is half of one call and half of
another."""

from __future__ import annotations

import gc
import math
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import pytest

import tailwise as tw
from tests.guarantees.machine import MODELS
from tests.hammer import EXTRA, Hammer, Stepping, eager_switches, engine_of, together
from tests.sound import check_sound

N_THREADS = 4
CLOCKS: dict[str, Callable[[], tw.Clock]] = {"python": Stepping, "built in": tw.MonotonicClock}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("clock", CLOCKS.values(), ids=CLOCKS)
def test_many_threads_lose_nothing(clock: Callable[[], tw.Clock], seed: int) -> None:
    """Everything that can be done to an engine, by all at once. Each ticket that only one thread has settles in its
    hands, of those that several have exactly one does; every result is in the statistics, and every job that was
    dropped is counted as that."""
    engine, shared = engine_of(clock()), []
    hammers = [Hammer(engine, shared, seed * N_THREADS + k) for k in range(N_THREADS)]
    with eager_switches():
        together([lambda h=h: h.run(700) for h in hammers])  # type: ignore[misc]
    engine.mode("active")
    for hammer in hammers:
        while hammer.mine:
            hammer.settle()
    for ticket in shared:
        if not ticket.settled:
            ticket.cancel()
    gc.collect()
    done = sum((hammer.done for hammer in hammers), Counter())
    check_nothing_is_left(engine)
    assert engine.counters["n_abandoned"] == done["abandoned"]
    assert results_of(engine) == done["results"]
    assert done["added"] - done["removed"] == (EXTRA in {r.name for r in engine.resources})
    assert min(done[name] for name in ("full", "too late", "settled shared", "abandoned", "added")) > 0


def check_nothing_is_left(engine: tw.Engine) -> None:
    assert engine.in_flight == 0
    assert engine._core.promised() == []
    for qos in engine.qos:
        assert engine.certificate(qos.name).open == 0
    for resource in engine.resources:
        assert engine.load(resource.name) == (0, 0)
    for m, model in enumerate(MODELS):
        for lane in engine.candidates(model.name):
            for signal in range(len(model.signals)):
                check_sound(engine._core.posterior(m, lane, signal))
            assert np.isfinite(engine._core.served(m, lane)["mean"]).all()


def results_of(engine: tw.Engine) -> int:
    """Results ever of the resources that stay."""
    return sum(one.n_results for one in engine.statistics() if one.resource != EXTRA)


def simple(clock: tw.Clock, *, max_tickets: int = 4096) -> tuple[tw.Engine, tw.Route]:
    engine = tw.Engine(
        [tw.Resource(f"r{i}", slots=2) for i in range(8)],
        [tw.Model("m", ("n",), (tw.Column("own", scale=1.0),))],
        [tw.QoS("q", 1.0, contract="best_effort")],
        clock=clock,
        seed=1,
        tau_s=math.inf,
        max_tickets=max_tickets,
    )
    return engine, engine.route("m", "q")


@pytest.mark.parametrize("clock", CLOCKS.values(), ids=CLOCKS)
def test_every_job_of_many_threads_is_promised_and_learned_once(clock: Callable[[], tw.Clock]) -> None:
    """The certificate's count, the profiles' and the threads' are one."""
    engine, route = simple(clock(), max_tickets=8)
    row = np.ones((1, 8))

    binds: list[bool] = []

    def work() -> None:
        for k in range(500):
            ticket = route.select((1.0,), row if k % 2 else None, mask=0xFF if k % 3 else None)
            binds.append(not ticket.probe)
            ticket.complete(0.01)

    with eager_switches():
        together([work] * N_THREADS)
    assert engine.in_flight == 0
    assert engine._core.certificate(0)["n"] == sum(binds)
    assert results_of(engine) == 500 * N_THREADS
    assert sum(one.succeeded for one in engine.statistics()) == 500 * N_THREADS


@pytest.mark.parametrize("clock", CLOCKS.values(), ids=CLOCKS)
@pytest.mark.parametrize("how", ["complete", "fail", "cancel", "timeout", "drop"])
def test_a_ticket_that_two_threads_settle_settles_once(how: str, clock: Callable[[], tw.Clock]) -> None:
    engine, route = simple(clock())
    tickets = [route.select((1.0,)) for _ in range(1000)]
    outcomes: list[Counter[str]] = [Counter(), Counter()]

    def settle_all(mine: Counter[str]) -> None:
        for ticket in tickets:
            try:
                getattr(ticket, how)()
            except tw.TicketError:
                mine["refused"] += 1
            else:
                mine["settled"] += 1

    with eager_switches():
        together([lambda mine=mine: settle_all(mine) for mine in outcomes])  # type: ignore[misc]
    assert sum(outcomes, Counter()) == {"settled": 1000, "refused": 1000}
    assert engine.in_flight == 0
    assert results_of(engine) == (1000 if how in ("complete", "fail") else results_of(engine))


@pytest.mark.parametrize("clock", CLOCKS.values(), ids=CLOCKS)
def test_each_decision_has_its_own_columns_and_mask(clock: Callable[[], tw.Clock]) -> None:
    """Each thread uses one resource and one number only, and finds both on every ticket."""
    _, route = simple(clock())

    def work(k: int) -> None:
        row = np.full((1, 8), float(k))
        for _ in range(400):
            ticket = route.select((1.0,), row, mask=1 << k)
            assert ticket.lane == k
            assert ticket.features[-1] == pytest.approx(np.log1p(k), abs=1e-6)
            ticket.cancel()

    with eager_switches():
        together([lambda k=k: work(k) for k in range(N_THREADS)])  # type: ignore[misc]


def test_a_name_that_many_threads_add_and_remove_is_there_at_most_once() -> None:
    engine, _ = simple(Stepping())
    done: list[Counter[str]] = [Counter() for _ in range(N_THREADS)]

    def work(mine: Counter[str]) -> None:
        for _ in range(200):
            with suppress(tw.ConfigError):
                engine.add(tw.Resource(EXTRA))
                mine["added"] += 1
            with suppress(tw.UnknownName):
                engine.remove(EXTRA)
                mine["removed"] += 1

    with eager_switches():
        together([lambda mine=mine: work(mine) for mine in done])  # type: ignore[misc]
    total = sum(done, Counter())
    names = [resource.name for resource in engine.resources]
    assert names.count(EXTRA) == total["added"] - total["removed"]
    assert len(set(names)) == len(names)


def test_leaving_a_with_block_is_quiet_though_another_thread_settles_the_ticket_just_then() -> None:
    """Here the clock does, which is read between the look whether it is open and its end."""

    class Settling(Stepping):
        ticket: tw.Ticket | None = None

        def now_ns(self) -> int:
            ticket, self.ticket = self.ticket, None
            if ticket is not None:
                ticket.timeout()
            return super().now_ns()

    clock = Settling()
    engine, route = simple(clock)
    with route.select((1.0,)) as ticket:
        clock.ticket = ticket
    assert ticket.settled
    assert engine.in_flight == 0
