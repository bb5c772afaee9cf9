"""Resources that join and leave while the engine runs, with jobs open on them."""

from __future__ import annotations

import gc

import numpy as np
import pytest

import tailwise as tw

QOS = [tw.QoS("q", 1.0, contract="best_effort")]


def engine(*names: str, max_resources: int | None = None, models: list[tw.Model] | None = None) -> tw.Engine:
    return tw.Engine(
        [tw.Resource(name) for name in names],
        [tw.Model("m")] if models is None else models,
        QOS,
        clock=tw.ManualClock(),
        seed=1,
        max_resources=max_resources,
    )


def teach(e: tw.Engine, resource: str, service_s: float, n: int = 12, model: str = "m") -> None:
    """Twelve results: up to 15 each one rebuilds the served copies at once."""
    for k in range(n):
        e.route(model, "q").select((), mask=1 << e.lane(resource)).complete(service_s * (1.0 + 0.1 * (k % 2)))


def belief(e: tw.Engine, resource: str, model: int = 0) -> dict[str, object]:
    return e._core.posterior(model, e.lane(resource))


def same(a: dict[str, object], b: dict[str, object]) -> bool:
    return all(np.array_equal(a[key], b[key]) for key in a)


def test_a_route_that_exists_chooses_a_resource_that_joined_later() -> None:
    e = engine("slow")
    route = e.route("m", "q")
    teach(e, "slow", 0.5)
    assert e.add(tw.Resource("fast")) == 1
    ticket = route.select(())
    assert ticket.resource.name == "fast"  # untried: its first chance
    ticket.complete(0.1)
    teach(e, "fast", 0.1)
    assert route.select(()).resource.name == "fast"
    assert [r.name for r in e.resources] == ["slow", "fast"]


def test_a_newcomer_starts_from_what_its_model_does_elsewhere() -> None:
    """The same as if it had been there from the beginning and had shown nothing."""
    late, early = engine("a"), engine("a", "b")
    for e in (late, early):
        teach(e, "a", 0.25)
    late.add(tw.Resource("b"))
    assert late.profile("b", "m").source == "pooled"
    assert same(belief(late, "b"), belief(early, "b"))
    served = [e._core.served(0, 1) for e in (late, early)]
    assert same(*served)


def test_a_newcomer_may_bring_its_own_profiles() -> None:
    e = engine("a")
    e.add(tw.Resource("b"), profiles=[tw.Profile("b", "m", 0.02, weight=50.0)])
    assert e.profile("b", "m").source == "given"
    assert e.route("m", "q").select((), mask=2).service_s == pytest.approx(0.02, rel=0.2)


@pytest.mark.parametrize(
    ("models", "expected"), [(None, {"all", "named"}), (["only"], {"only"}), ([], set()), (["all"], {"all"})]
)
def test_a_newcomer_joins_the_models_that_allow_or_are_told(
    models: list[str] | None, expected: set[str]
) -> None:
    declared = [
        tw.Model("all"),
        tw.Model("only", resources=("a",)),
        tw.Model("named", resources=("a", "b")),
    ]
    e = engine("a", "b", models=declared)
    e.remove("b")
    e.add(tw.Resource("b"), models=models)
    assert {name for name in ("all", "only", "named") if e.lane("b") in e.candidates(name)} == expected


def test_tickets_of_a_removed_resource_settle_and_teach_nothing() -> None:
    e = engine("a", "b")
    teach(e, "a", 0.1)
    route = e.route("m", "q")
    tickets = [route.select((), mask=2) for _ in range(5)]
    e.remove("b")
    known = belief(e, "a")
    profile = e._core.posterior(0, 1)
    tickets[0].complete(9.0)
    tickets[1].fail()
    tickets[2].cancel()
    tickets[3].start()
    tickets[3].complete()
    assert tickets[4].resource.name == "b"
    del tickets[4]
    gc.collect()
    assert e.in_flight == 0
    assert same(belief(e, "a"), known)
    assert same(e._core.posterior(0, 1), profile)
    with pytest.raises(tw.TicketError, match="settled already"):
        tickets[0].complete(9.0)


def test_a_removed_resource_is_unknown_by_name_and_never_chosen() -> None:
    e = engine("a", "b")
    e.remove("b")
    assert {e.route("m", "q").select(()).resource.name for _ in range(20)} == {"a"}
    assert [row.resource.name for row in e.route("m", "q").peek(())] == ["a"]
    for call in (e.lane, e.load, e.drain, e.undrain, e.remove, e.own_queue):
        with pytest.raises(tw.UnknownName, match="'b'"):
            call("b")
    with pytest.raises(tw.UnknownName, match="'b'"):
        e.report("b", at=1.0)


def test_jobs_queued_on_a_removed_resource_move_or_keep_their_forecast() -> None:
    e = engine("a", "b")
    teach(e, "a", 0.5)
    teach(e, "b", 0.1)
    route = e.route("m", "q")
    tickets = [route.select((), mask=2) for _ in range(3)]
    e.remove("b")
    assert tickets[1].reconsider()
    assert tickets[1].resource.name == "a"
    e.drain("a")
    assert not tickets[2].reconsider()
    assert tickets[2].resource.name == "b"
    assert tickets[2].expected_s == pytest.approx(0.2, rel=0.2)  # behind the first
    for ticket in tickets:
        ticket.complete(0.3)
    assert e.in_flight == 0


def test_a_name_that_comes_back_starts_from_the_prior() -> None:
    e, fresh = engine("a", "b"), engine("a", "b")
    for each in (e, fresh):
        teach(each, "a", 0.2)
    teach(e, "b", 3.0)
    e.route("m", "q").select((), mask=2).fail()
    e.remove("b")
    assert e.add(tw.Resource("b")) == 1
    assert same(belief(e, "b"), belief(fresh, "b"))
    assert same(e._core.served(0, 1), fresh._core.served(0, 1))
    assert e.route("m", "q").select(()).resource.name == "b"  # untried again


def test_what_was_removed_no_longer_stands_behind_the_prior_of_others() -> None:
    e = engine("a", "b")
    teach(e, "a", 0.2)
    assert e.profile("b", "m").source == "pooled"
    e.remove("a")
    assert e.profile("b", "m").source == "unknown"
    assert same(e._core.served(0, 1), engine("a", "b")._core.served(0, 1))


def test_a_lane_is_used_again_only_once_the_last_ticket_of_its_old_resource_settled() -> None:
    e = engine("a", "b")
    ticket = e.route("m", "q").select((), mask=1)
    e.remove("a")
    assert e.add(tw.Resource("c")) == 2
    ticket.complete(0.1)
    assert e.add(tw.Resource("d")) == 0
    assert e.n_lanes == 3
    assert [r.name for r in e.resources] == ["d", "b", "c"]
    assert ticket.resource.name == "a"
    assert e.load("d") == (0, 0)
    assert e.profile("d", "m").n_results == 0


def test_a_lane_is_handed_on_without_its_old_load_reports_or_drain() -> None:
    """Byte by byte as the lane of an engine that never had the old resource, generator and generations aside."""
    model = tw.Model("m", columns=(tw.Column("kv", scale=1.0, reported=True), tw.Column("own", 1.0)))
    e = engine("a", "b", models=[model])
    e.clock.advance(50.0)
    e.report("b", kv=9.0, at=50.0)
    tickets = [e.route("m", "q").select((), mask=2) for _ in range(4)]
    e.own_queue("b")
    e.drain("b")
    e.remove("b")
    for ticket in tickets:
        ticket.cancel()
    assert e.add(tw.Resource("b")) == 1
    (row,) = e.route("m", "q").peek((), mask=2)
    assert row.wait_s == 0.0
    assert row.features[1] == 0.0  # unknown, and no data yet: not the old 9
    e.report("b", kv=1.0, at=10.0)  # older than the old one's last report
    (row,) = e.route("m", "q").peek((), mask=2)
    assert row.features[1] == pytest.approx(np.log(2.0))
    first = e.route("m", "q").select((), mask=2)
    assert e.load("b") == (1, 0)  # fifo again: the start is inferred
    first.cancel()


def test_callers_learn_the_new_width() -> None:
    e = engine("a", models=[tw.Model("m", columns=(tw.Column("own", 1.0),))])
    route = e.route("m", "q")
    Z = route.buffer()
    assert (Z.shape, e.n_lanes) == ((1, 1), 1)
    e.add(tw.Resource("b"))
    assert (route.buffer().shape, e.n_lanes) == ((1, 2), 2)
    before = e._core.snapshot()
    with pytest.raises(tw.InputError, match=r"\(1, 2\).*buffer"):
        route.select((), Z)
    with pytest.raises(tw.InputError, match="mask"):
        route.select((), mask=np.array([True]))
    assert e._core.snapshot() == before
    assert route.select((), route.buffer(), mask=0b1).resource.name == "a"
    e.remove("b")
    assert (route.buffer().shape, e.n_lanes) == ((1, 2), 2)


def test_an_engine_may_lose_all_its_resources_and_get_others() -> None:
    e = engine("a")
    route = e.route("m", "q")
    e.remove("a")
    assert e.resources == ()
    assert route.select(()).reason == "no_resource"
    assert route.select((), mask=1).reason == "no_resource"  # the lane went away under the caller's hands
    assert not route.peek(())
    e.add(tw.Resource("b"))
    assert route.select(()).resource.name == "b"


def test_the_capacity_is_declared_and_never_grows() -> None:
    e = engine("a", "b", max_resources=3)
    e.add(tw.Resource("c"))
    before = e._core.snapshot()
    with pytest.raises(tw.CapacityError, match=r"3 .*max_resources"):
        e.add(tw.Resource("d"))
    assert e._core.snapshot() == before
    ticket = e.route("m", "q").select((), mask=4)
    e.remove("c")
    with pytest.raises(tw.CapacityError, match="removed"):
        e.add(tw.Resource("d"))
    ticket.cancel()
    assert e.add(tw.Resource("d")) == 2


def test_without_a_capacity_there_is_room_up_to_a_whole_block() -> None:
    e = engine("a")
    for k in range(15):
        e.add(tw.Resource(f"new{k}"))
    with pytest.raises(tw.CapacityError):
        e.add(tw.Resource("one too many"))


BAD_ADDS = {
    "a name that is taken": (tw.ConfigError, lambda e: e.add(tw.Resource("a"))),
    "an unknown model": (tw.UnknownName, lambda e: e.add(tw.Resource("c"), models=["nope"])),
    "a profile of another resource": (
        tw.ConfigError,
        lambda e: e.add(tw.Resource("c"), profiles=[tw.Profile("a", "m", 0.1)]),
    ),
    "a profile of an unknown model": (
        tw.UnknownName,
        lambda e: e.add(tw.Resource("c"), profiles=[tw.Profile("c", "nope", 0.1)]),
    ),
    "a profile of a model that it does not join": (
        tw.ConfigError,
        lambda e: e.add(tw.Resource("c"), models=[], profiles=[tw.Profile("c", "m", 0.1)]),
    ),
}


@pytest.mark.parametrize(("error", "call"), BAD_ADDS.values(), ids=BAD_ADDS)
def test_a_refused_newcomer_changes_nothing(error: type[Exception], call: object) -> None:
    e = engine("a", "b")
    before = e._core.snapshot()
    with pytest.raises(error):
        call(e)
    assert e._core.snapshot() == before
    assert [r.name for r in e.resources] == ["a", "b"]


@pytest.mark.parametrize("max_resources", [0, 1])
def test_a_capacity_below_what_is_declared_is_refused(max_resources: int) -> None:
    with pytest.raises(tw.ConfigError, match="max_resources"):
        engine("a", "b", max_resources=max_resources)
