"""A model that a resource must load first: its jobs wait for that, in the rank and in what is promised."""

from __future__ import annotations

import pytest

import tailwise as tw


def engine() -> tw.Engine:
    """Two equal resources that know both models: .1 s each."""
    e = tw.Engine(
        [tw.Resource("a"), tw.Resource("b")],
        [tw.Model("m"), tw.Model("other")],
        [
            tw.QoS("q", 1.0),
            tw.QoS("sure", 1.0, contract="guaranteed"),
            tw.QoS("cheap", 1.0, objective="cost"),
        ],
        clock=tw.ManualClock(),
        seed=1,
    )
    for name in ("m", "other"):
        for resource in ("a", "b"):
            for _ in range(30):
                e.route(name, "q").observe(resource, ()).complete(0.1)
    return e


@pytest.mark.parametrize("qos", ["q", "sure", "cheap"])
def test_jobs_go_where_the_model_is_loaded_until_the_wait_there_is_as_long(qos: str) -> None:
    e = engine()
    e.unloaded("a", "m", 0.25)
    route = e.route("m", qos)
    chosen = [route.select(()) for _ in range(4)]
    waits = [ticket.wait_s for ticket in chosen]
    assert [t.resource.name for t in chosen][:2] == ["b", "b"]
    assert "a" in [t.resource.name for t in chosen]
    first = next(t for t in chosen if t.resource.name == "a")
    assert first.wait_s == pytest.approx(0.25)
    assert waits[0] == 0.0


@pytest.mark.parametrize("qos", ["q", "sure", "cheap"])
def test_a_load_longer_than_the_deadline_is_not_promised(qos: str) -> None:
    e = engine()
    e.unloaded("a", "m", 5.0)
    seen = e.route("m", qos).peek(())
    rows = {row.resource.name: row for row in (*seen.candidates, *seen.excluded)}
    assert rows["a"].wait_s == pytest.approx(5.0)
    assert rows["a"].p_raw < 1e-3 < 0.9 < rows["b"].p_raw


def test_a_batch_of_requests_waits_for_it_as_single_ones_do() -> None:
    one, many = engine(), engine()
    for e in (one, many):
        e.unloaded("a", "m", 0.15)
    singly = [one.route("m", "q").select(()) for _ in range(20)]
    together = many.route("m", "q").select_many([()] * 20)
    assert [(t.resource.name, t.wait_s) for t in together] == [(t.resource.name, t.wait_s) for t in singly]


def test_other_models_do_not_wait_for_it() -> None:
    e = engine()
    e.unloaded("a", "m", 5.0)
    tickets = [e.route("other", "q").select(()) for _ in range(2)]
    assert {ticket.resource.name for ticket in tickets} == {"a", "b"}
    assert {ticket.wait_s for ticket in tickets} == {0.0}


def test_once_loaded_nothing_tells_that_it_was_not() -> None:
    e = engine()
    before = e._core.snapshot()
    e.unloaded("a", "m", 5.0)
    e.unloaded("a", "m", 2.0)
    assert e.profile("a", "m").load_s == 2.0
    e.loaded("a", "m")
    e.loaded("a", "m")
    assert e._core.snapshot() == before


def test_what_was_never_tried_is_not_tried_where_it_must_be_loaded_first() -> None:
    e = tw.Engine(
        [tw.Resource("a"), tw.Resource("b")],
        [tw.Model("m")],
        [tw.QoS("q", 1.0)],
        clock=tw.ManualClock(),
        seed=1,
    )
    for _ in range(3):
        e.route("m", "q").observe("b", ()).complete(0.1)
    e.unloaded("a", "m", 0.5)
    for _ in range(5):
        ticket = e.route("m", "q").select(())
        assert ticket.resource.name == "b"
        ticket.complete(0.1)
    e.loaded("a", "m")
    assert e.route("m", "q").select(()).resource.name == "a"


def test_a_reset_does_not_load_it_and_a_removal_forgets_it() -> None:
    e = engine()
    e.unloaded("a", "m", 0.5)
    e.reset("a")
    assert e.profile("a", "m").load_s == 0.5
    e.remove("a")
    e.add(tw.Resource("c"))
    assert e.profile("c", "m").load_s == 0.0


def test_a_family_prefers_the_variant_that_is_loaded() -> None:
    e = tw.Engine(
        [tw.Resource("a")],
        [tw.Model("fp32", variant_of="net"), tw.Model("int8", variant_of="net")],
        [tw.QoS("q", 1.0)],
        clock=tw.ManualClock(),
    )
    e.route("fp32", "q").observe("a", ()).complete(0.1)
    e.unloaded("a", "int8", 0.5)
    for _ in range(3):
        with e.family("net", "q").select(()) as ticket:
            assert ticket.model.name == "fp32"


@pytest.mark.parametrize("load_s", [0.0, -1.0, float("nan"), float("inf"), "1", None, True])
def test_what_is_no_time_is_refused(load_s: object) -> None:
    e = engine()
    before = e._core.snapshot()
    with pytest.raises(tw.InputError, match="load_s"):
        e.unloaded("a", "m", load_s)  # type: ignore[arg-type]
    assert e._core.snapshot() == before


def test_unknown_names_and_what_cannot_run_it_are_refused() -> None:
    e = tw.Engine([tw.Resource("a"), tw.Resource("b")], [tw.Model("m", resources=("b",))], [tw.QoS("q", 1.0)])
    with pytest.raises(tw.UnknownName):
        e.unloaded("nowhere", "m", 1.0)
    with pytest.raises(tw.UnknownName):
        e.unloaded("a", "nothing", 1.0)
    with pytest.raises(tw.InputError, match="cannot run"):
        e.unloaded("a", "m", 1.0)
