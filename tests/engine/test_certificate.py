"""What a certificate says: when claimed and observed disagree, and how it reads."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tailwise as tw
from tailwise._core.core import normal_q
from tailwise.certificate import drift_line
from tailwise.policy import Learned


def engine(on_time: float = 0.95) -> tuple[tw.Engine, tw.ManualClock]:
    clock = tw.ManualClock()
    qos = [tw.QoS("q", 1.0, on_time, contract="best_effort")]
    return tw.Engine([tw.Resource("r", slots=4)], [tw.Model("m")], qos, clock=clock, seed=1), clock


@given(p=st.floats(1e-300, 1 - 1e-16, exclude_min=True))
def test_the_normal_quantile_is_the_standard_librarys(p: float) -> None:
    """To AS 241's relative error of 1e-7; its tail formula is stated down to 1e-316."""
    assert normal_q(p) == pytest.approx(NormalDist().inv_cdf(p), rel=2e-7, abs=2e-7)


@pytest.mark.parametrize("delayed", [0, 50])
def test_right_claims_seldom_leave_the_line_at_any_time(delayed: int) -> None:
    """2000 sequences of 4000 jobs whose chance is their claim; looked at after each report. The line allows a share
    of .01; 2000 draws at .01 have sd .0022, and the mixture bound is not tight: .012 would be its breach. With delay
    the on-time jobs of each batch report first, which is the order that flatters most."""
    rng = np.random.default_rng(8)
    claim = rng.beta(4, 1, (2000, 4000))
    gain = (rng.random(claim.shape) < claim).astype(float)
    drift = claim - gain
    n_open = np.zeros(4000, dtype=int)
    if delayed:
        batches = (-drift).reshape(2000, -1, delayed)
        drift = -np.sort(batches, axis=2)[:, :, ::-1].reshape(2000, 4000)
        n_open = delayed - 1 - np.arange(4000) % delayed
    line = np.array([drift_line(n + 1, int(k)) for n, k in enumerate(n_open)])
    left = np.any(np.abs(np.cumsum(drift, axis=1)) > line, axis=1)
    assert left.mean() <= 0.012


def test_claims_that_are_wrong_by_a_twentieth_are_found_out() -> None:
    """A drift of .05 n meets sqrt((n/4 + 20)(ln(n/80 + 1) + 9.2)) at n = 1200 (.05 n = 60, line 61); its own sd is
    .5 sqrt(n), so 2000 jobs (100 against 78, sd 14 of outcomes at .9: sqrt(2000 x .09)) are enough at 1.6 sd, 3000
    (150 against 96, sd 16) at 3."""
    rng = np.random.default_rng(9)
    claimed, n = 0.9, 3000
    outcome = rng.random((300, n)) < claimed - 0.05
    found = np.abs(claimed * n - outcome.sum(axis=1)) > drift_line(n, 0)
    assert found.mean() > 0.98


def test_a_certificate_without_a_report_promises_nothing() -> None:
    e, _ = engine()
    ticket = e.route("m", "q").select(())
    seen = e.certificate("q")
    assert (seen.n, seen.open, seen.most_open) == (0, 1, 1)
    assert seen.observed is seen.claimed is seen.on_time is seen.vacuous is None
    assert seen.bound == seen.tolerance == math.inf
    assert not seen.disagree
    assert str(seen) == "q: no job has ended yet, 1 open"
    ticket.cancel()
    assert e.certificate("q").open == 0


def test_a_certificate_tells_claimed_from_observed() -> None:
    """200 quick jobs teach a profile that then misses every deadline, 60 times claimed near .99: it disagrees."""
    e, _ = engine()
    route = e.route("m", "q")
    for _ in range(200):
        route.select(()).complete(0.1)
    before = e.certificate("q")
    assert before.on_time == 1.0
    assert before.claimed == pytest.approx(1.0, abs=0.05)
    assert not before.disagree
    assert "they agree" in str(before)
    for _ in range(60):
        route.select(()).drop()
    after = e.certificate("q")
    assert (after.n, after.open) == (260, 0)
    assert after.on_time == 200 / 260
    assert after.disagree
    assert "DISAGREE" in str(after)


def test_after_misses_the_bound_becomes_endless_and_after_hits_finite_again() -> None:
    """on_time .93: eta .02, alpha1 .07; four failures take alpha to -.0044, each report brings back .0014."""
    e, _ = engine(on_time=0.93)
    route = e.route("m", "q")
    assert math.isfinite(route.select(()).bound_s)
    for _ in range(4):
        route.select(()).fail()
    assert route.select(()).bound_s == math.inf
    for _ in range(4):
        route.select(()).complete(0.1)
    assert math.isfinite(route.select(()).bound_s)
    assert e.certificate("q").vacuous == 4 / 8


def test_where_every_job_is_late_for_its_bound_by_rule_the_bound_is_zero() -> None:
    """on_time .01 asks for .99 misses: hits drive alpha to >= 1, where the bound is 0 s and counts as missed."""
    e, _ = engine(on_time=0.01)
    route = e.route("m", "q")
    route.select(()).complete(1e-9)
    ticket = route.select(())
    assert ticket.bound_s == 0.0
    ticket.complete(0.0)
    assert e.certificate("q").vacuous == 0.5
    assert e.certificate("q").observed == 0.5


@pytest.mark.parametrize("end", ["completed", "failed", "cancelled", "expired"])
def test_an_expired_job_counts_and_a_cancelled_one_does_not(end: str) -> None:
    e, clock = engine()
    policy = Learned(e)
    assignment = policy.assign("m", "q", (), None)
    clock.advance(0.5)
    policy.ended(assignment, end, 0.5, 0.5)  # type: ignore[arg-type]
    seen = e.certificate("q")
    assert seen.n == (end != "cancelled")
    assert seen.on_time == {"completed": 1.0, "failed": 0.0, "expired": 0.0, "cancelled": None}[end]
    assert e.profile("r", "m").n_results == (end in ("completed", "failed"))


def test_lateness_is_by_the_clock_when_that_is_longer_than_the_service() -> None:
    e, clock = engine()
    ticket = e.route("m", "q").select(())
    clock.advance(1.5)
    ticket.complete(0.1)
    assert e.certificate("q").on_time == 0.0


def test_an_unknown_class_has_no_certificate() -> None:
    with pytest.raises(tw.UnknownName, match="'q'"):
        engine()[0].certificate("nope")


def chat(**bounds: float) -> tuple[tw.Engine, tw.Ticket]:
    e = tw.Engine(
        [tw.Resource("r", max_running=4)],
        [tw.Model("llm", signals=("ttft", "tpot"))],
        [tw.QoS("chat", ttft_s=1.0, contract="best_effort", **bounds)],
        clock=tw.ManualClock(),
        seed=1,
    )
    return e, e.route("llm", "chat").select(())


UNSAID = {
    "no first token": (lambda t: t.complete(0.5, tokens=9), {}),
    "no first token, and late at that": (lambda t: t.complete(5.0, tokens=9), {}),
    "no count, of a bounded pace": (lambda t: (t.first(0.5), t.complete(0.6)), {"tpot_s": 0.1}),
    "a count on the way only": (lambda t: (t.first(0.5), t.progress(7), t.complete(0.6)), {"tpot_s": 0.1}),
}
SAID = {
    "a first token": (lambda t: (t.first(0.5), t.complete(9.0)), {}, 1.0),
    "a late one": (lambda t: (t.first(1.5), t.complete(9.0)), {}, 0.0),
    "a pace": (lambda t: (t.first(0.5), t.complete(1.3, tokens=9)), {"tpot_s": 0.11}, 1.0),
    "a slow pace": (lambda t: (t.first(0.5), t.complete(1.3, tokens=9)), {"tpot_s": 0.09}, 0.0),
    "one token, which has no pace": (
        lambda t: (t.first(0.5), t.complete(9.0, tokens=1)),
        {"tpot_s": 0.1},
        1.0,
    ),
    "a failure, whatever was not said": (lambda t: t.fail(), {"tpot_s": 0.1}, 0.0),
}


@pytest.mark.parametrize("what", UNSAID)
def test_what_a_stream_never_said_counts_neither_as_kept_nor_as_broken(what: str) -> None:
    say, bounds = UNSAID[what]
    e, ticket = chat(**bounds)
    say(ticket)
    seen = e.certificate("chat")
    assert (seen.n, seen.open, seen.untold) == (0, 0, 1)
    assert str(seen) == "chat: no job has ended yet, 0 open, 1 untold"


@pytest.mark.parametrize("what", SAID)
def test_what_a_stream_said_counts(what: str) -> None:
    say, bounds, on_time = SAID[what]
    e, ticket = chat(**bounds)
    say(ticket)
    seen = e.certificate("chat")
    assert (seen.n, seen.open, seen.untold, seen.on_time) == (1, 0, 0, on_time)
