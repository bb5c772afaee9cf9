"""Context per candidate: reported, tracked and given columns; and which candidates a call may use."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tailwise as tw

COLUMNS = (
    tw.Column("running", scale=1.0, tracked="running"),
    tw.Column("waiting", scale=1.0, tracked="waiting"),
    tw.Column("open", scale=1.0, tracked="in_flight"),
    tw.Column("kv", scale=1.0, reported=True),
)


def engine(*columns: tw.Column, k: int = 3, slots: int = 2) -> tw.Engine:
    return tw.Engine(
        [tw.Resource(f"r{i}", slots=slots) for i in range(k)],
        [tw.Model("m", columns=columns)],
        [tw.QoS("q", 1.0, contract="best_effort")],
        clock=tw.ManualClock(),
        health=None,
        seed=1,
    )


def columns_of(e: tw.Engine, lane: int) -> list[float]:
    """Raw values of a lane's columns, decoded."""
    (row,) = e.route("m", "q").peek((), mask=1 << lane)
    return [round(math.expm1(z), 5) for z in row.features[1:]]


@given(st.lists(st.tuples(st.sampled_from(["select", "settle"]), st.integers(0, 9)), max_size=40))
def test_tracked_columns_are_the_counts_of_open_tickets(actions: list[tuple[str, int]]) -> None:
    e = engine(*COLUMNS)
    tickets: list[tw.Ticket] = []
    for action, k in actions:
        if action == "select":
            tickets.append(e.route("m", "q").select((), mask=1 << k % 3))
        elif tickets:
            tickets.pop(k % len(tickets)).fail()
        for lane, resource in enumerate(e.resources):
            running, queued = e.load(resource.name)
            assert running + queued == sum(t.resource is resource for t in tickets)
            assert running == min(2, running + queued)
            assert columns_of(e, lane)[:3] == [running, queued, running + queued]


def test_a_report_says_nothing_of_what_it_does_not_name() -> None:
    e = engine(tw.Column("kv", scale=1.0, reported=True), tw.Column("busy", scale=1.0, reported=True))
    e.report("r1", kv=4.0, busy=2.0)
    e.report("r1", busy=7.0)
    assert columns_of(e, 1) == [4.0, 7.0]


def taught(e: tw.Engine, slope: float, lanes: int = 3, **name: str) -> None:
    """Teaches every lane that seconds = 0.1 (1 + column)^slope."""
    column = name.get("column", "kv")
    for value in (0.0, 1.0, 3.0, 9.0) * 3:
        for lane in range(lanes):
            e.report(f"r{lane}", **{column: value})
            e.route("m", "q").select((), mask=1 << lane).complete(0.1 * (1 + value) ** slope)


def test_what_is_unknown_never_reads_as_no_load() -> None:
    """A resource that stops reporting is taken for its own average, not for idle."""
    e = engine(COLUMNS[3])
    taught(e, 1.0)
    e.report("r0", kv=0.0)
    e.report("r1", kv=math.nan)
    e.report("r2", kv=9.0)
    rows = {row.resource.name: row for row in e.route("m", "q").peek(())}
    assert rows["r0"].ln_service < rows["r1"].ln_service < rows["r2"].ln_service
    assert rows["r1"].spread > max(rows["r0"].spread, rows["r2"].spread)


def test_a_report_changes_the_choice() -> None:
    e = engine(COLUMNS[3])
    taught(e, 1.0)
    for busy in range(3):
        for lane in range(3):
            e.report(f"r{lane}", kv=0.0 if lane == busy else 5.0)
        ticket = e.route("m", "q").select(())
        assert ticket.resource.name == f"r{busy}"
        ticket.cancel()


def test_an_older_report_is_ignored() -> None:
    e = engine(COLUMNS[3])
    e.clock.advance(10.0)
    e.report("r0", kv=5.0, at=10.0)
    e.report("r0", kv=1.0, at=9.0)
    assert columns_of(e, 0) == [5.0]
    e.report("r0", kv=2.0, at=10.0)
    e.report("r1", kv=3.0, at=1.0)
    assert (columns_of(e, 0), columns_of(e, 1)) == ([2.0], [3.0])


def test_given_columns_decide_with_the_call_and_leave_nothing_behind() -> None:
    e = engine(tw.Column("own", scale=1.0))
    route = e.route("m", "q")
    for value in (0.0, 1.0, 3.0, 9.0) * 3:
        for lane in range(3):
            Z = route.buffer()
            Z[0, lane] = value
            route.select((), Z, mask=1 << lane).complete(0.1 * (1 + value))
    Z = route.buffer()
    assert Z.shape == (1, 3)
    assert np.isnan(Z).all()
    alone = [row.ln_service for row in sorted(route.peek(()), key=lambda r: r.resource.name)]
    for best in range(3):
        Z[0] = 5.0
        Z[0, best] = 0.0
        ticket = route.select((), Z)
        assert ticket.resource.name == f"r{best}"
        assert ticket.features[1] == 0.0
        ticket.cancel()
    assert alone == [row.ln_service for row in sorted(route.peek(()), key=lambda r: r.resource.name)]


def test_a_given_column_may_speed_a_job_up() -> None:
    """Only load is floored: cached tokens, say, make a job faster and are priced so."""
    e = engine(tw.Column("cached", scale=1.0))
    route = e.route("m", "q")
    Z = route.buffer()
    for value in (0.0, 1.0, 3.0, 9.0) * 3:
        Z[:] = value
        route.select((), Z, mask=1).complete(0.1 / (1 + value))
    Z[:] = 0.0
    (cold,) = route.peek((), Z, mask=1)
    Z[:] = 9.0
    (warm,) = route.peek((), Z, mask=1)
    assert warm.ln_service < cold.ln_service - 1.0


def test_what_a_call_brings_is_added_to_what_is_there_before_encoding() -> None:
    """The work ahead and the job's own, in one unit: on each lane its own sum, and nothing is left behind."""
    e = engine(
        tw.Column("ahead", scale=2.0, tracked="running", plus="own"),
        tw.Column("queue", scale=4.0, reported=True, plus="own"),
        tw.Column("other", scale=1.0),
    )
    route = e.route("m", "q")
    assert route.model.given == ("own", "other")
    e.report("r1", queue=6.0)
    held = [route.select((), mask=1 << lane) for lane in (1, 1, 2)]
    Z = route.buffer()
    Z[0], Z[1] = [5.0, 7.0, math.nan], [1.0, 2.0, 3.0]
    for running in (2, 1, 0):
        rows = {row.resource.name: row.features[1:] for row in route.peek((), Z)}
        np.testing.assert_allclose(rows["r1"], np.log1p([(running + 7) / 2, (6 + 7) / 4, 2.0]), rtol=1e-6)
        assert rows["r0"][0] == pytest.approx(math.log1p(5 / 2), rel=1e-6)
        # unknown in part is unknown; a cold profile takes it as 0
        assert (rows["r0"][1], rows["r2"][0], rows["r2"][1]) == (0.0, 0.0, 0.0)
        held.pop(0).cancel()


@given(seed=st.integers(0, 2**32 - 1))
def test_an_unknown_column_with_a_square_and_a_product_widens_by_its_slope_where_it_stands(seed: int) -> None:
    """s^2 grows by (b + 2 b2 z + bx x)^2 times the column's variance, z its mean; float32 slopes: 1e-4."""
    rng = np.random.default_rng(seed)
    model = tw.Model("m", ("f",), (tw.Column("kv", 1.0, reported=True, square=True, times="f"),))
    patient = tw.QoS("q", 1.0, contract="best_effort")
    e = tw.Engine([tw.Resource("r")], [model], [patient], clock=tw.ManualClock(), seed=1)
    route, encoded = e.route("m", "q"), rng.uniform(0.5, 2.5, 20)
    for z in encoded:
        f = rng.exponential(2.0)
        e.report("r", kv=math.expm1(z))
        ln_s = z * (0.2 + 0.3 * z + 0.4 * math.log1p(f)) - 4 + rng.normal(0, 0.01)
        route.select((f,)).complete(math.exp(ln_s))
    e.report("r", kv=math.expm1(e._core.served(0, 0)["column_mean"][0]))
    (known,) = route.peek((3.0,))
    e.report("r", kv=math.nan)
    (unknown,) = route.peek((3.0,))
    np.testing.assert_allclose(unknown.features, known.features, rtol=1e-6)
    assert unknown.ln_service == pytest.approx(known.ln_service, abs=1e-5)
    _, _, slope, square, product = e._core.served(0, 0)["mean"]
    steep = slope + 2 * square * known.features[2] + product * math.log1p(3.0)
    widened = unknown.spread**2 - known.spread**2
    assert widened == pytest.approx(steep**2 * e._core.served(0, 0)["column_var"][0], rel=1e-4)


@pytest.mark.parametrize("k", [3, 64, 65, 100])
@given(seed=st.integers(0, 2**32 - 1))
def test_a_bit_set_and_a_bool_array_are_the_same_mask(k: int, seed: int) -> None:
    bits = np.random.default_rng(seed).random(k) < 0.5
    bits[seed % k] = True
    as_int = sum(1 << int(i) for i in np.flatnonzero(bits))
    route = engine(k=k).route("m", "q")
    named = {row.resource.name for row in route.peek((), mask=bits)}
    assert named == {row.resource.name for row in route.peek((), mask=as_int)}
    assert named == {f"r{i}" for i in np.flatnonzero(bits)}
    assert {row.resource.name for row in route.peek((), mask=np.repeat(bits, 2)[::2])} == named
    for mask in (bits, as_int):
        ticket = route.select((), mask=mask)
        assert ticket.resource.name in named
        ticket.cancel()


@pytest.mark.parametrize("true", [1, 2, 0x80, 0xFF])
def test_whatever_is_not_zero_in_a_bool_array_is_true(true: int) -> None:
    k = 70
    bits = np.zeros(k, dtype=np.uint8)
    bits[::3] = true
    named = {row.resource.name for row in engine(k=k).route("m", "q").peek((), mask=bits.view(bool))}
    assert named == {f"r{i}" for i in range(0, k, 3)}


def test_a_mask_is_of_its_call_only() -> None:
    route = engine().route("m", "q")
    assert route.select((), mask=4).resource.name == "r2"
    assert len(route.peek(())) == 3
