"""What is ahead of a job: residuals of running jobs, queued seconds by level, their line in time."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tailwise as tw
from tailwise._core import reference as ref
from tests.twin import Job, Twin

pytestmark = pytest.mark.usefixtures("each_path")

MODEL = tw.Model("m", features=(tw.Feature("u", typical=1.0),))


def twin_of(*resources: tw.Resource, mean_s: float = 0.5, spread: float = 0.3, weight: float = 1e4) -> Twin:
    """Resources whose service is given so firmly that m and s are known: ln N(m, spread)."""
    profiles = [tw.Profile(r.name, "m", mean_s, spread, weight) for r in resources]
    return Twin(MODEL, resources, profiles=profiles)


def wait_s(twin: Twin, level: int = 0) -> float:
    return twin.routes[level].peek((1.0,))[0].wait_s


@given(
    mean_s=st.floats(1e-6, 1e4),
    spread=st.floats(0.05, 3.0),
    elapsed=st.floats(1e-3, 50.0),
    weight=st.floats(0.1, 1e3),
)
def test_a_running_job_leaves_the_mean_of_its_truncated_lognormal(
    mean_s: float, spread: float, elapsed: float, weight: float
) -> None:
    """Elapsed times from a thousandth to fifty times the mean. Up to 7 s beyond the median the kernel is closed
    form: 1e-5 covers the float32 of m and s and the clock's nanosecond (1e-3 of the shortest elapsed time, whose
    effect on a mean of 1e-6 s is 1e-9 / 1e-6). Beyond, Mills' ratio with its first term: relative error 2 / z^2,
    plus (s / z) from the skew, z >= 7."""
    twin = twin_of(tw.Resource("r"), mean_s=mean_s, spread=spread, weight=weight)
    job = twin.select((1.0,))
    twin.advance(round(elapsed * mean_s, 9))
    twin.redraw(0, (1.0,))
    want, _ = ref.residual(job.m, job.s, twin.now_s)
    s = ref.moment_spread(job.s)
    z = (math.log(max(twin.now_s, 1e-9)) - job.m) / s
    rough = 0.0 if z < 6.9 else 2 / z**2 + s / z
    assert wait_s(twin) == pytest.approx(
        want, rel=1e-5 * (1 + max(z, 0) ** 2) + 2e-3 * (mean_s < 1e-5) + rough
    )


def test_the_residual_is_not_mean_minus_elapsed() -> None:
    """A lognormal that has outlived its mean has more than nothing left (the .114 against .014 of the design)."""
    twin = twin_of(tw.Resource("r"), mean_s=1.0, spread=0.8)
    twin.select((1.0,))
    twin.advance(2.0)
    twin.redraw(0, (1.0,))
    assert wait_s(twin) > 0.5


@given(
    starts=st.lists(st.floats(0.0, 1.2), min_size=3, max_size=3),
    n_queued=st.integers(0, 4),
    discipline=st.sampled_from(["fifo", "priority"]),
)
def test_wait_is_what_is_ahead_over_the_slots(starts: list[float], n_queued: int, discipline: str) -> None:
    """Three running jobs at different ages and queued ones of two levels: fifo has all ahead, priority only those
    served before. Float32 of m and s: 1e-6 each way; nobody is 7 s beyond the median, where Mills' ratio begins."""
    twin = twin_of(tw.Resource("r", slots=3, discipline=discipline))
    for gap in starts:
        twin.start(twin.select((1.0,), 0))
        twin.advance(gap)
    for k in range(n_queued):
        twin.select((1.0 + k,), 3 if k % 2 else 0)
    twin.redraw(0, (1.0,))
    for level in (0, 3):
        want, want_var = twin.wait(0, level)
        (row,) = twin.routes[level].peek((1.0,))
        assert row.wait_s == pytest.approx(want, rel=1e-5)
        m, s = math.log(0.5) - 0.045, row.spread
        _, _, p = ref.forecast_total(m, s, row.dof, want, want_var, row_deadline(level), row.availability)
        assert row.p_raw == pytest.approx(p, abs=2e-5)


def row_deadline(level: int) -> float:
    return {0: 1.0, 3: 9.0}[level]


def test_a_free_slot_means_no_wait_on_a_fifo_resource() -> None:
    twin = twin_of(tw.Resource("r", slots=2))
    twin.select((1.0,))
    assert wait_s(twin) == 0.0
    twin.select((1.0,))
    assert wait_s(twin) > 0.0


def test_a_lower_class_waits_for_a_higher_one_and_not_the_reverse() -> None:
    twin = twin_of(tw.Resource("r", discipline="priority"))
    for _ in range(5):
        twin.select((1.0,), 3)
    assert wait_s(twin, 0) == 0.0
    assert wait_s(twin, 3) == pytest.approx(2.5, rel=1e-3)


def test_own_queue_turns_a_fifo_resource_into_a_priority_one() -> None:
    twin = twin_of(tw.Resource("r"))
    for _ in range(3):
        twin.select((1.0,), 3)
    assert wait_s(twin, 0) == pytest.approx(1.5, rel=1e-3)
    twin.engine.own_queue("r")
    assert wait_s(twin, 0) == pytest.approx(0.5, rel=1e-3)


@given(st.lists(st.tuples(st.sampled_from("sssxcfa"), st.integers(0, 9)), max_size=40))
def test_wait_returns_to_exactly_zero(actions: list[tuple[str, int]]) -> None:
    """Open, start, settle in any order and at any time: once nothing is open no rounding is left."""
    twin = twin_of(tw.Resource("r", slots=2), tw.Resource("p", slots=2, discipline="priority"))
    open_jobs: list[Job] = []
    for action, k in actions:
        if action == "s":
            open_jobs.append(twin.select((1.0 + k,), 3 * (k % 2)))
        elif action == "a":
            twin.advance(0.1 * k)
        elif open_jobs:
            job = open_jobs[k % len(open_jobs)]
            if action == "x":
                twin.start(job)
                continue
            open_jobs.remove(job)
            twin.cancel(job) if action == "c" else twin.fail(job)
    assert twin.engine.in_flight == len(open_jobs)
    for job in open_jobs:
        twin.complete(job, 0.4)
    assert twin.engine.in_flight == 0
    for lane, name in enumerate(("r", "p")):
        assert twin.engine.load(name) == (0, 0)
        for route in twin.routes.values():
            assert route.peek((1.0,), mask=1 << lane)[0].wait_s == 0.0


@given(ages=st.lists(st.floats(0.0, 1.5), min_size=1, max_size=4), late=st.floats(0.0, 1.0))
def test_the_line_holds_for_a_quarter_of_what_is_left(ages: list[float], late: float) -> None:
    """A lane is not looked at again within refresh time, a quarter of its residual per slot. The residual's curve
    bends where a job nears its end; with spread .3 the line is then off by less than a tenth of a mean service."""
    twin = twin_of(tw.Resource("r", slots=len(ages)))
    for age in ages:
        twin.select((1.0,))
        twin.advance(age)
    twin.redraw(0, (1.0,))
    drawn = wait_s(twin)
    twin.advance(late * drawn / 4)
    want, _ = twin.wait(0, 0)
    assert wait_s(twin) == pytest.approx(want, abs=0.05)


def test_a_job_that_overstays_does_not_look_done() -> None:
    """The line runs out at zero; a decision that would fall for it looks at the jobs again first."""
    twin = twin_of(tw.Resource("stuck"), tw.Resource("slow"), mean_s=1.0, spread=0.8, weight=50.0)
    twin.select((1.0,), mask=1)
    for _ in range(2):
        twin.select((1.0,), mask=2)
    twin.advance(20.0)
    ticket = twin.routes[0].select((1.0,), mask=1)
    assert ticket.wait_s == pytest.approx(twin.wait(0, 0)[0], rel=0.3)
    assert ticket.wait_s > 3.0
    ticket.cancel()


@pytest.mark.parametrize("huge", [1e-7, 1.0])
@pytest.mark.parametrize("small", [1.0, 1.05, 1.1, 1.15, 1.2, 1e7])
def test_a_huge_job_that_leaves_the_queue_leaves_no_less_than_nothing(huge: float, small: float) -> None:
    """1e26 s plus 1 s minus 1e26 s is 0 in float64, and minus the 1 s that leaves next -1; the variance gets there
    from a ratio of 1e8 on, while the sum is still right, and has no logarithm below 0."""
    twin = Twin(MODEL, [tw.Resource("r", discipline="priority")])
    for k in range(200):
        twin.learn(0, (1.0 + 0.05 * (k % 2),), 1e-9 if k % 2 else 1e6)
    for job in [twin.select((u,)) for u in (huge, small, small, small)]:
        twin.cancel(job)
        for u in (huge, small):
            (row,) = twin.routes[3].peek((u,))
            assert row.wait_s >= 0.0
            assert 0.0 <= row.p_on_time <= 1.0
            assert np.isfinite(row.rank_s)
