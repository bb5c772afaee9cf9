"""Hedges in the core, against their plain specification."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tailwise as tw
from tailwise._core import reference as ref
from tests.core.test_rules import MODEL, URGENT, clock, crowd, engine, owned, teach


@given(
    ends=st.lists(st.floats(0.05, 60.0), max_size=40),
    age_s=st.floats(0.01, 20.0),
)
def test_the_mean_residual_is_its_specification(ends: list[float], age_s: float) -> None:
    """1e-4: below 7 s the residual is closed form on a float32 forecast, and pi R_out are sums of a few terms. Ends
    within 1e-5 of a threshold are left out: float32 may see them on the other side."""
    e = engine(owned("r"), spread=0.4)
    c = e.route("m", "lazy").peek((1.0,))[0]
    thresholds = [c.ln_service + k * c.spread for k in (2, 4)]
    ends = [t for t in ends if all(abs(math.log(t) - edge) > 1e-3 for edge in thresholds)]
    rows = []
    for took in ends:
        c = e.route("m", "lazy").peek((1.0,))[0]
        rows.append((c.ln_service, c.spread, took))
        teach(e, took, 1)
    job = e.route("m", "lazy").select((1.0,))
    c = e.route("m", "lazy").peek((1.0,))[0]
    job.start()
    clock(e).advance(age_s)
    z = (math.log(age_s) - c.ln_service) / c.spread
    if abs(z - 4.0) < 1e-3 or z > 6.0:
        return
    want = ref.mean_residual(rows, c.ln_service, c.spread, age_s)
    assert job.residual_s == pytest.approx(want, rel=1e-4)


def with_outliers(*resources: tw.Resource) -> tw.Engine:
    """Of the jobs that outlived exp(m + 2 s), all were outliers of ten seconds."""
    e = engine(*resources)
    for _ in range(10):
        ticket = e.route("m", "lazy").select((1.0,), mask=1)
        ticket.start()
        ticket.complete(10.0)
    return e


def test_a_copy_is_made_where_it_is_expected_to_end_sooner_than_the_outlier() -> None:
    e = with_outliers(owned("a"), owned("b"))
    job = e.route("m", "urgent").select((1.0,), mask=1)
    job.start()
    clock(e).advance(job.hedge_at_s)
    assert job.residual_s > 5.0
    copy = job.copy()
    assert copy is not None
    assert copy.resource.name == "b"
    assert e.load("b") == (0, 1)
    copy.start()
    copy.complete(1.0)
    job.complete()
    assert e.in_flight == 0
    assert e.profile("b", "m").n == 1.0
    assert e.profile("a", "m").n == 11.0


def test_a_job_beyond_its_deadline_gets_its_copy_all_the_same() -> None:
    e = with_outliers(owned("a"), owned("b"))
    job = e.route("m", "urgent").select((1.0,), mask=1)
    clock(e).advance(50.0)
    job.start()
    clock(e).advance(job.hedge_at_s)
    assert job.copy() is not None


def test_no_copy_where_the_lognormal_alone_speaks_for_it() -> None:
    """No outlier was ever seen: the residual of the forecast itself is shorter than starting afresh."""
    e = engine(owned("a"), owned("b"))
    job = e.route("m", "urgent").select((1.0,), mask=1)
    job.start()
    clock(e).advance(job.hedge_at_s)
    assert job.copy() is None
    assert e.load("b") == (0, 0)


def test_no_copy_where_the_others_are_busier_than_the_outlier_is_long() -> None:
    e = with_outliers(owned("a"), owned("b"))
    ahead = crowd(e, 1, 12)
    job = e.route("m", "urgent").select((1.0,), mask=1)
    job.start()
    clock(e).advance(job.hedge_at_s)
    assert job.copy() is None
    for ticket in ahead:
        ticket.cancel()
    assert job.copy(mask=1) is None  # nobody else
    e.drain("b")
    assert job.copy() is None
    e.undrain("b")
    assert job.copy() is not None


def test_no_copy_without_a_ticket_left() -> None:
    e = tw.Engine(
        [owned("a"), owned("b")], [MODEL], [URGENT], clock=tw.ManualClock(), max_tickets=1, seed=1,
        profiles=[tw.Profile(name, "m", 1.0, 0.3, 1e4) for name in "ab"],
    )  # fmt: skip
    for _ in range(10):
        ticket = e.route("m", "urgent").select((1.0,), mask=1)
        ticket.start()
        ticket.complete(10.0)
    job = e.route("m", "urgent").select((1.0,), mask=1)
    job.start()
    clock(e).advance(3.0)
    assert job.copy() is None
    job.cancel()
