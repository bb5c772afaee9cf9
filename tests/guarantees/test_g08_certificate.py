"""Guarantee 8: the certificate's bound holds on adversarial sequences with delayed feedback.

After n reports with at most tau promised tickets open at once, whatever the latencies and the choices,
|observed - target| <= (max(alpha1, 1 - alpha1) + eta (1 + tau)) / (n eta), observed being the share of jobs that
ended within the bound_s issued with their ticket.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import tailwise as tw
from tailwise._core import reference as ref

#: Which open job reports next, given how many are open and whether the adversary is emptying its store.
ORDERS: dict[str, Callable[[int, np.random.Generator], int]] = {
    "oldest first": lambda n_open, rng: 0,
    "newest first": lambda n_open, rng: n_open - 1,
    "any": lambda n_open, rng: int(rng.integers(n_open)),
}
#: Whether it misses its bound, given the miss share so far, the target, and the number of reports.
VERDICTS: dict[str, Callable[[float, float, int, np.random.Generator], bool]] = {
    "always": lambda share, target, n, rng: True,
    "never": lambda share, target, n, rng: False,
    "away from the target": lambda share, target, n, rng: share >= target,
    "in long waves": lambda share, target, n, rng: n % 1000 < 500,
    "by a coin": lambda share, target, n, rng: bool(rng.random() < 0.5),
}


class Level:
    """The rule in plain numbers: what a ticket is issued with is the level itself. clip: as it must not be."""

    def __init__(self, target: float, clip: bool) -> None:
        self.target, self.eta, self.clip, self.alpha = target, ref.step(target), clip, target

    def issue(self) -> float:
        return self.alpha

    def end(self, level: float, miss: bool) -> bool:
        """Reports, missing the bound if it can be missed and is asked for; returns whether it did."""
        err = level > 0.0 and (miss or level >= 1.0)
        self.alpha += self.eta * (self.target - err)
        if self.clip:
            self.alpha = min(max(self.alpha, 0.0), 1.0)
        return err


class Jobs:
    """The same through the public API: a job that is to miss its bound takes a little longer than it, or fails."""

    def __init__(self, on_time: float) -> None:
        resources = [tw.Resource("a"), tw.Resource("b", slots=3)]
        self.engine = tw.Engine(
            resources,
            [tw.Model("m")],
            [tw.QoS("q", 0.5, on_time, contract="best_effort", explore=False)],  # a probe promises nothing
            clock=tw.ManualClock(),
            seed=8,
        )
        self.route, self.n = self.engine.route("m", "q"), 0

    def issue(self) -> tuple[tw.Ticket, float]:
        ticket = self.route.select(())
        return ticket, ticket.bound_s

    def end(self, issued: tuple[tw.Ticket, float], miss: bool) -> bool:
        ticket, bound_s = issued
        self.n += 1
        if miss and self.n % 10 == 0:
            ticket.fail()
            return bound_s < math.inf
        service_s = min(bound_s, 1e9) * (1 + 1e-6 if miss else 1 - 1e-6)
        ticket.complete(service_s)
        return max(service_s, 1e-9) > bound_s


def play(game: Level | Jobs, target: float, tau: int, order: str, verdict: str, n: int) -> list[bool]:
    """Whether each job missed, in order of report. Half of the time the store fills up to tau + 1 and is emptied
    whole, which is what delay can do worst; else it stays full."""
    rng = np.random.default_rng([tau, len(order), len(verdict)])
    store: list[object] = []
    missed: list[bool] = []
    n_missed, emptying = 0, False
    while len(missed) < n:
        if len(store) <= tau and not emptying:
            store.append(game.issue())
            continue
        job = store.pop(ORDERS[order](len(store), rng))
        share = n_missed / len(missed) if missed else target
        missed.append(game.end(job, VERDICTS[verdict](share, target, len(missed), rng)))  # type: ignore[arg-type]
        n_missed += missed[-1]
        emptying = bool(store) and len(missed) // (4 * tau + 4) % 2 == 0
    return missed


def worst_excess(missed: list[bool], target: float, most_open: int) -> float:
    """Most by which the gap exceeds the guaranteed one at any number of reports."""
    n = np.arange(1, len(missed) + 1)
    gap = np.abs(np.cumsum(missed) / n - target)
    return float(np.max(gap - [ref.guaranteed_gap(target, ref.step(target), int(k), most_open) for k in n]))


@pytest.mark.parametrize("tau", [0, 1, 30, 1000])
@pytest.mark.parametrize("on_time", [0.5, 0.95, 0.99])
def test_the_bound_holds_against_every_adversary(tau: int, on_time: float) -> None:
    """Through the engine; the test counts misses itself, by the bound_s that each ticket showed when issued. Between
    two reports the guarantee allows for the ticket that is being reported: the most that were open is tau + 1."""
    for order, verdict in product(ORDERS, VERDICTS):
        jobs = Jobs(on_time)
        n = 2500 + 3 * tau
        missed = play(jobs, 1 - on_time, tau, order, verdict, n)
        seen = jobs.engine.certificate("q")
        assert (seen.n, seen.most_open) == (n, tau + 1)
        assert seen.observed == pytest.approx(1 - sum(missed) / n, abs=1e-12)
        assert seen.bound == pytest.approx(ref.guaranteed_gap(1 - on_time, ref.step(1 - on_time), n, tau + 1))
        assert worst_excess(missed, 1 - on_time, tau + 1) <= 1e-12, (order, verdict)


@pytest.mark.parametrize("on_time", [0.5, 0.95])
def test_the_adversaries_are_strong_enough_to_break_a_clipped_level(on_time: float) -> None:
    """The same sequences against the same rule, once as it is and once with the level held in [0, 1]."""
    target = 1 - on_time
    broken = 0
    for order, verdict in product(ORDERS, VERDICTS):
        free, clipped = (
            play(Level(target, clip), target, 200, order, verdict, 20_000) for clip in (False, True)
        )
        assert worst_excess(free, target, 201) <= 1e-12, (order, verdict)
        broken += worst_excess(clipped, target, 201) > 0.01
    assert broken >= 3


ENDS = st.sampled_from(["complete", "fail", "drop", "cancel", "abandon", "reject"])
STEPS = st.lists(st.tuples(st.floats(0, 2), st.integers(0, 9), ENDS, st.floats(1e-12, 1e3)), max_size=150)


@example(on_time=0.5, steps=[(0.0, 0, "fail", 1.0)] * 3 + [(1.0, 0, "complete", 1.0)] * 2)
@given(on_time=st.floats(0.001, 0.999), steps=STEPS)
def test_each_ticket_is_counted_once_by_a_fixed_rule(
    on_time: float, steps: list[tuple[float, int, str, float]]
) -> None:
    """Any ends in any order: n counts what completed, failed, was dropped, or was cancelled or abandoned from its
    deadline on; the level is the recursion's; the bound holds; a refused job and an early cancel leave no trace."""
    clock, now_s, deadline_s = tw.ManualClock(), 0.0, 1.0
    classes = [tw.QoS("q", deadline_s, on_time, contract="best_effort")]
    # no breaker: after three failures the job that probes the resource would be promised nothing
    resources = [tw.Resource("r", slots=2)]
    engine = tw.Engine(resources, [tw.Model("m")], classes, clock=clock, seed=1, health=None)
    route, missed = engine.route("m", "q"), list[bool]()
    open_jobs: list[tuple[tw.Ticket, float, float]] = []
    for advance_s, which, end, service_s in steps:
        clock.advance(advance_s)
        now_s = clock.now_ns() * 1e-9
        if end == "reject":
            before = engine._core.certificate(0)
            assert not route.select((), arrival_s=now_s - deadline_s).admitted
            assert engine._core.certificate(0) == before
        ticket = route.select(())
        open_jobs.append((ticket, ticket.bound_s, now_s))
        alpha = ref.error_level(1 - on_time, ref.step(1 - on_time), missed)
        assert engine._core.certificate(0)["alpha"] == pytest.approx(alpha, abs=1e-12)
        if which >= len(open_jobs):
            continue
        ticket, bound_s, since_s = open_jobs.pop(which)
        age_s = now_s - since_s
        if end == "complete":
            ticket.complete(service_s)
            missed.append(max(age_s, service_s, 1e-9) > bound_s)
        elif end in ("fail", "drop"):
            getattr(ticket, end)()
            missed.append(bound_s < math.inf)
        elif end in ("cancel", "abandon"):
            late = age_s >= deadline_s - 1e-12
            if end == "cancel":
                ticket.cancel()
            if late:
                missed.append(bound_s < math.inf)
        else:
            open_jobs.append((ticket, bound_s, since_s))
        del ticket
    seen = engine.certificate("q")
    assert seen.n == len(missed)
    assert seen.open == len(open_jobs) == engine.in_flight
    if missed:
        assert seen.observed == pytest.approx(1 - np.mean(missed), abs=1e-12)
        assert abs(seen.observed - on_time) <= seen.bound + 1e-12
