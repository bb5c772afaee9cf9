"""Bad input: a named error, and not one byte of state changed."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

import tailwise as tw

HUGE = 10**400  # an int that no float holds


def engine(k: int = 3) -> tw.Engine:
    """A used one: results, failures, an open ticket, a queued one, a report."""
    model = tw.Model(
        "m",
        (tw.Feature("size", typical=8.0), tw.Feature("n")),
        (tw.Column("own", scale=1.0), tw.Column("kv", scale=1.0, reported=True)),
        resources=tuple(f"r{i}" for i in range(k - 1)) if k > 2 else None,
    )
    e = tw.Engine(
        [tw.Resource(f"r{i}") for i in range(k)],
        [model, tw.Model("plain")],
        [tw.QoS("q", 1.0, contract="best_effort")],
        clock=tw.ManualClock(5.0),
        seed=1,
        max_tickets=6,
    )
    e.report("r0", kv=2.0, at=3.0)
    for _ in range(5):
        e.route("m", "q").select((8.0, 1.0)).complete(0.1)
    e.route("m", "q").select((8.0, 1.0)).fail()
    return e


BAD_FEATURES = {
    "nan": (math.nan, 1.0),
    "inf": (8.0, math.inf),
    "-inf": (-math.inf, 1.0),
    "negative": (8.0, -1.0),
    "zero where a typical value is declared": (0.0, 1.0),
    "too few": (8.0,),
    "too many": (8.0, 1.0, 2.0),
    "none": (),
    "text": ("8.0", 1.0),
    "a text": "81",
    "None": None,
    "None inside": (8.0, None),
    "an int too large": (8.0, HUGE),
    "a list with an int too large": [8.0, HUGE],
    "complex": (8.0, 1j),
    "a scalar": 8.0,
    "a dict": {"size": 8.0, "n": 1.0},
    "an array with NaN": np.array([8.0, math.nan]),
    "two dimensions": np.array([[8.0, 1.0]]),
    "no dimension": np.array(8.0),
    "complex array": np.array([8.0, 1.0 + 0j]),
    "text array": np.array(["8.0", "1.0"]),
    "object array": np.array([8.0, 1.0], dtype=object),
    "wrong length": np.array([8.0, 1.0, 2.0]),
    "ragged": [[8.0], [1.0, 2.0]],
}


@pytest.mark.parametrize("x", BAD_FEATURES.values(), ids=BAD_FEATURES)
@pytest.mark.parametrize("call", ["select", "peek"])
def test_refused_features_change_nothing(x: object, call: str) -> None:
    e = engine()
    route = e.route("m", "q")
    held = route.select((8.0, 1.0))
    before = e._core.snapshot()
    with pytest.raises(tw.InputError):
        getattr(route, call)(x)
    assert e._core.snapshot() == before
    held.cancel()


GOOD_FEATURES = {
    "tuple": (16.0, 3.0),
    "tuple of ints": (16, 3),
    "tuple of numpy scalars": (np.float32(16), np.int64(3)),
    "list": [16.0, 3.0],
    "array": np.array([16.0, 3.0]),
    "int array": np.array([16, 3]),
    "float32 array": np.array([16, 3], dtype=np.float32),
    "every second of an array": np.array([16.0, 9.0, 3.0, 9.0])[::2],
    "reversed": np.array([3.0, 16.0])[::-1],
    "a column": np.array([[16.0, 9.0], [3.0, 9.0]])[:, 0],
    "big endian": np.array([16.0, 3.0], dtype=">f8"),
    "unaligned": np.frombuffer(b"\0" + np.array([16.0, 3.0]).tobytes(), dtype=np.uint8)[1:].view(np.float64),
    "read only": np.frombuffer(np.array([16.0, 3.0]).tobytes()),
}


@pytest.mark.parametrize("x", GOOD_FEATURES.values(), ids=GOOD_FEATURES)
def test_real_numbers_in_any_layout_are_the_same_request(x: object) -> None:
    ticket = engine().route("m", "q").select(x)
    np.testing.assert_allclose(ticket.features[:3], [1.0, math.log(2.0), math.log(4.0)], rtol=1e-15)
    ticket.cancel()


BAD_TIMES = {
    "nan": math.nan,
    "inf": math.inf,
    "-inf": -math.inf,
    "negative": -1e-12,
    "text": "0.1",
    "complex": 1j,
    "list": [0.1],
    "an int too large": HUGE,
    "array": np.array([0.1, 0.2]),
}


@pytest.mark.parametrize("service_s", BAD_TIMES.values(), ids=BAD_TIMES)
def test_a_refused_time_leaves_the_ticket_open_and_changes_nothing(service_s: object) -> None:
    e = engine()
    ticket = e.route("m", "q").select((8.0, 1.0))
    before = e._core.snapshot()
    with pytest.raises(tw.InputError, match="service_s"):
        ticket.complete(service_s)
    assert e._core.snapshot() == before
    assert not ticket.settled
    ticket.complete(0.1)


BAD_GIVEN = {
    "negative": np.array([[1.0, -1.0, 0.0]]),
    "inf": np.array([[1.0, math.inf, 0.0]]),
    "-inf": np.array([[1.0, -math.inf, 0.0]]),
    "one row too many": np.zeros((2, 3)),
    "one lane too few": np.zeros((1, 2)),
    "one dimension": np.zeros(3),
    "float32": np.zeros((1, 3), dtype=np.float32),
    "int": np.zeros((1, 3), dtype=int),
    "not contiguous": np.zeros((1, 6))[:, ::2],
    "big endian": np.zeros((1, 3), dtype=">f8"),
    "list": [[0.0, 0.0, 0.0]],
    "text": "Z",
}


@pytest.mark.parametrize("Z", BAD_GIVEN.values(), ids=BAD_GIVEN)
@pytest.mark.parametrize("call", ["select", "peek"])
def test_refused_columns_change_nothing(Z: object, call: str) -> None:
    e = engine()
    route = e.route("m", "q")
    before = e._core.snapshot()
    with pytest.raises(tw.InputError, match="Z"):
        getattr(route, call)((8.0, 1.0), Z)
    assert e._core.snapshot() == before


def test_columns_for_a_model_that_takes_none_are_refused() -> None:
    with pytest.raises(tw.InputError, match="Z"):
        engine().route("plain", "q").select((), np.zeros((1, 3)))


BAD_MASKS = {
    "empty": 0,
    "only a lane that is no candidate of the model": 0b100,
    "a bit too high": 0b1000,
    "negative": -1,
    "True": True,
    "float": 1.0,
    "text": "101",
    "list": [True, False, True],
    "all off": np.zeros(3, dtype=bool),
    "too long": np.ones(4, dtype=bool),
    "too short": np.ones(2, dtype=bool),
    "two dimensions": np.ones((1, 3), dtype=bool),
    "ints": np.ones(3, dtype=int),
    "an int without end": 1 << 5000,
}


@pytest.mark.parametrize("mask", BAD_MASKS.values(), ids=BAD_MASKS)
def test_a_refused_mask_changes_nothing(mask: object) -> None:
    e = engine()
    route = e.route("m", "q")
    before = e._core.snapshot()
    with pytest.raises(tw.InputError, match="mask"):
        route.select((8.0, 1.0), mask=mask)
    assert e._core.snapshot() == before


@pytest.mark.parametrize("k", [8, 63, 64, 65, 100, 128])
def test_a_bit_beyond_the_last_resource_is_refused_at_every_word_edge(k: int) -> None:
    e = tw.Engine([tw.Resource(f"r{i}") for i in range(k)], [tw.Model("m")], [tw.QoS("q", 1.0)], seed=1)
    route = e.route("m", "q")
    assert route.select((), mask=1 << (k - 1)).resource.name == f"r{k - 1}"
    for mask in (1 << k, 1 << (k + 64), (1 << (k + 1)) - 1, np.ones(k + 1, dtype=bool)):
        with pytest.raises(tw.InputError, match="mask"):
            route.select((), mask=mask)


def test_one_ticket_too_many_is_refused_until_another_settles() -> None:
    e = engine()
    route = e.route("m", "q")
    tickets = [route.select((8.0, 1.0)) for _ in range(6)]
    before = e._core.snapshot()
    with pytest.raises(tw.CapacityError, match="6 tickets are open"):
        route.select((8.0, 1.0))
    assert e._core.snapshot() == before
    tickets.pop().cancel()
    tickets.append(route.select((8.0, 1.0)))
    for ticket in tickets:
        ticket.cancel()
    assert e.in_flight == 0


def test_more_resources_than_the_masks_hold_are_refused() -> None:
    with pytest.raises(tw.CapacityError, match="4096"):
        tw.Engine([tw.Resource(f"r{i}") for i in range(4097)], [tw.Model("m")], [tw.QoS("q", 1.0)])


UNKNOWN = {
    "model of a route": lambda e: e.route("nope", "q"),
    "class of a route": lambda e: e.route("m", "nope"),
    "resource of a profile": lambda e: e.profile("nope", "m"),
    "model of a profile": lambda e: e.profile("r0", "nope"),
    "resource of a report": lambda e: e.report("nope", kv=1.0),
    "column of a report": lambda e: e.report("r0", nope=1.0),
    "a given column in a report": lambda e: e.report("r0", own=1.0),
    "resource of load": lambda e: e.load("nope"),
    "resource of own_queue": lambda e: e.own_queue("nope"),
    "lane": lambda e: e.lane("nope"),
}


@pytest.mark.parametrize("call", UNKNOWN.values(), ids=UNKNOWN)
def test_an_unknown_name_is_named_and_changes_nothing(call: object) -> None:
    e = engine()
    before = e._core.snapshot()
    with pytest.raises(tw.UnknownName, match=r"nope|own") as caught:
        call(e)
    assert "there are" in str(caught.value)
    assert not re.match(r"^['\"]", str(caught.value))  # KeyError would print the repr of a sentence
    assert e._core.snapshot() == before


@pytest.mark.parametrize(
    "values", [{"kv": -1.0}, {"kv": math.inf}, {"kv": "1"}, {"kv": None}, {"kv": 1.0, "nope": 1.0}]
)
def test_a_refused_report_changes_nothing(values: dict[str, float]) -> None:
    e = engine()
    e.clock.set(9.0)
    before = e._core.snapshot()
    with pytest.raises((tw.InputError, tw.UnknownName)):
        e.report("r0", at=9.0, **values)
    with pytest.raises(tw.InputError, match="at="):
        e.report("r0", at=math.nan, kv=1.0)
    assert e._core.snapshot() == before
    e.report("r0", at=4.0, kv=1.0)  # the refused one at 9 s did not make this one old
    assert e._core.snapshot() != before


def test_peek_changes_nothing() -> None:
    e = engine()
    route = e.route("m", "q")
    held = [route.select((8.0, 1.0)) for _ in range(4)]
    before = e._core.snapshot()
    Z = route.buffer()
    Z[0] = 3.0
    assert len(route.peek((1e9, 1e9), Z)) == 2
    assert len(route.peek((8.0, 1.0), mask=2)) == 1
    e.profile("r0", "m", (8.0, 1.0))
    e.classify(2.0, 0.5)
    assert e._core.snapshot() == before
    for ticket in held:
        ticket.cancel()
