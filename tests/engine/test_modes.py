"""Who decides: active, a rollout share, shadow, frozen, bypass."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tailwise as tw

NAMES = ("fast", "slow", "slower")


def engine(seed: int = 1) -> tuple[tw.Engine, tw.Route]:
    """Three resources, known to take .1, .2 and .4 s."""
    e = tw.Engine(
        [tw.Resource(name, slots=4) for name in NAMES],
        [tw.Model("m"), tw.Model("other", resources=("fast",))],
        [tw.QoS("q", 5.0, contract="best_effort")],
        clock=tw.ManualClock(),
        seed=seed,
    )
    route = e.route("m", "q")
    for k in range(15):
        for lane, service_s in enumerate((0.1, 0.2, 0.4)):
            route.select((), mask=1 << lane).complete(service_s * (1 + 0.01 * (k % 3)))
    return e, route


def knowledge(e: tw.Engine) -> list[tuple[float, float, int]]:
    raw = [e._core.posterior(0, lane) for lane in range(3)]
    return [(r["n"], r["failed"], r["n_results"]) for r in raw]


def test_active_is_where_it_starts_and_the_default_is_not_heeded() -> None:
    e, route = engine()
    assert (e.mode(), e.rollout) == ("active", 1.0)
    for default in (None, *NAMES):
        ticket = route.select((), default=default)
        assert ticket.resource.name == "fast"
        assert ticket.preferred is ticket.resource
        assert ticket.regret_s == 0.0
        ticket.cancel()


def test_a_default_changes_nothing_of_an_active_decision() -> None:
    (a, with_default), (b, without) = engine(), engine()
    with_default.select((), default="slow")
    without.select(())
    assert a._core.snapshot() == b._core.snapshot()


def test_in_shadow_the_default_stands_and_is_learned_from() -> None:
    e, route = engine()
    e.mode("shadow")
    before = knowledge(e)
    ticket = route.select((), default="slow")
    assert (ticket.resource.name, ticket.preferred.name) == ("slow", "fast")
    assert ticket.regret_s == pytest.approx(0.1, rel=0.1)
    assert ticket.propensity == 1.0
    assert e.load("slow") == (1, 0)
    ticket.complete(0.2)
    assert knowledge(e)[1][2] == before[1][2] + 1
    assert (knowledge(e)[0], knowledge(e)[2]) == (before[0], before[2])
    assert e.in_flight == 0


@pytest.mark.parametrize("mode", ["shadow", "bypass"])
def test_without_a_default_the_candidate_with_the_fewest_open_jobs_takes_it(mode: str) -> None:
    e, route = engine()
    held = [route.select((), mask=0b001), route.select((), mask=0b010), route.select((), mask=0b010)]
    e.mode(mode)  # type: ignore[arg-type]
    assert route.select(()).resource.name == "slower"
    assert route.select((), mask=0b011).resource.name == "fast"
    e.drain("slower")
    assert route.select(()).resource.name == "fast"
    assert e.route("other", "q").select(()).resource.name == "fast"
    del held


@pytest.mark.parametrize("mode", ["shadow", "bypass"])
def test_ties_of_the_fewest_open_jobs_are_drawn(mode: str) -> None:
    e, route = engine()
    e.mode(mode)  # type: ignore[arg-type]
    seen = []
    for _ in range(60):
        ticket = route.select(())
        seen.append(ticket.resource.name)
        assert ticket.propensity == pytest.approx(1 / 3)
        ticket.cancel()
    assert {seen.count(name) > 8 for name in NAMES} == {True}  # 20 +- 3.7 expected: three deviations


@pytest.mark.parametrize("mode", ["shadow", "bypass"])
def test_with_no_default_and_every_candidate_shut_there_is_no_resource(mode: str) -> None:
    e, route = engine()
    e.mode(mode)  # type: ignore[arg-type]
    for name in NAMES:
        e.drain(name)
    ticket = route.select(())
    assert (ticket.admitted, ticket.reason, ticket.resource) == (False, "no_resource", None)
    with pytest.raises(tw.InputError, match="mask"):
        route.select((), mask=0)
    with pytest.raises(tw.InputError, match="mask"):
        e.route("other", "q").select((), mask=0b110)
    assert route.select((), default="slow").resource.name == "slow"  # its sender's business


def test_frozen_decides_and_learns_nothing() -> None:
    e, route = engine()
    early = route.select((), mask=0b010)
    e.mode("frozen")
    before = knowledge(e)
    served = [e._core.served(0, lane)["mean"][0] for lane in range(3)]
    for k in range(40):
        ticket = route.select((), default="slower")
        assert ticket.resource.name == "fast"
        assert e.load("fast") == (1, 0)
        ticket.fail() if k % 2 else ticket.complete(9.0)
    early.complete(9.0)  # sent before, ended now: nothing is learned while frozen
    assert knowledge(e) == before
    assert [e._core.served(0, lane)["mean"][0] for lane in range(3)] == served
    assert e.in_flight == 0
    late = route.select(())
    e.mode("active")
    late.complete(0.1)
    assert knowledge(e)[0][2] == before[0][2] + 1


def test_bypass_changes_not_one_byte() -> None:
    e, route = engine()
    e.mode("bypass")
    before = e._core.snapshot()
    tickets = [route.select((), default=name) for name in NAMES]
    assert e._core.snapshot() == before
    assert [t.resource.name for t in tickets] == list(NAMES)
    tickets.append(route.select((), default="fast"))
    for ticket, end in zip(tickets, ("complete", "fail", "cancel", "timeout"), strict=True):
        assert ticket.admitted
        assert not ticket.settled
        ticket.start()
        ticket.first()
        ticket.progress(3)
        assert ticket.may_start(1.0)
        assert not ticket.reconsider()
        assert ticket.copy() is None
        getattr(ticket, end)()
        assert ticket.settled
        for again in ("complete", "fail", "cancel", "timeout", "start"):
            with pytest.raises(tw.TicketError, match="settled already"):
                getattr(ticket, again)()
    assert e._core.snapshot() == before


def test_a_bypassed_ticket_says_that_nothing_is_known() -> None:
    e, route = engine()
    e.mode("bypass")
    ticket = route.select((), default="slow")
    assert ticket.preferred is None
    assert ticket.regret_s is None
    for number in ("features", "residual_s"):
        with pytest.raises(tw.TicketError, match="bypass"):
            getattr(ticket, number)
    assert "slow open" in repr(ticket)
    with ticket:
        pass
    assert ticket.settled


def test_a_bypassed_ticket_that_is_dropped_was_not_abandoned() -> None:
    e, route = engine()
    e.mode("bypass")
    route.select((), default="slow")
    assert e.counters["n_abandoned"] == 0
    assert e.in_flight == 0


def test_bypass_does_not_look_at_what_it_does_not_need() -> None:
    """The switch of last resort: a request that select would refuse goes through."""
    e, route = engine()
    with pytest.raises(tw.InputError):
        route.select((1.0, 2.0), default="slow")
    e.mode("bypass")
    assert route.select((1.0, 2.0), "Z", default="slow").resource.name == "slow"


def test_tickets_of_before_settle_in_bypass_and_teach_nothing() -> None:
    e, route = engine()
    tickets = [route.select(()) for _ in range(3)]
    before = knowledge(e)
    e.mode("bypass")
    for ticket, end in zip(tickets, ("complete", "fail", "cancel"), strict=True):
        getattr(ticket, end)()
    assert knowledge(e) == before
    assert e.in_flight == 0


@pytest.mark.parametrize("objective", ["completion", "cost"])
def test_frozen_favours_nothing_for_being_unknown(objective: str) -> None:
    """It would stay unknown, and have all of the jobs for ever. "new" costs less, and is not known to be in time."""
    e = tw.Engine(
        [tw.Resource("known", cost_per_s=2.0), tw.Resource("new", cost_per_s=1.0)],
        [tw.Model("m")],
        [tw.QoS("q", 0.15, 0.95, objective=objective, contract="best_effort")],
        clock=tw.ManualClock(),
        seed=1,
    )
    route = e.route("m", "q")
    for k in range(30):
        route.select((), mask=1).complete(0.1 * (1 + 0.01 * (k % 3)))
    assert route.select(()).resource.name == "new"
    e.mode("frozen")
    for _ in range(5):
        ticket = route.select(())
        assert ticket.resource.name == "known"
        ticket.complete(0.1)


@pytest.mark.parametrize("mode", ["active", "shadow", "frozen", "bypass"])
def test_an_unknown_default_is_refused_in_every_mode_and_changes_nothing(mode: str) -> None:
    """Before the switch is thrown, not after: who will be the fallback is checked while it is not yet needed."""
    e, route = engine()
    e.mode(mode)  # type: ignore[arg-type]
    before = e._core.snapshot()
    for bad in ("nope", 3):
        with pytest.raises(tw.UnknownName, match="default"):
            route.select((), default=bad)
    with pytest.raises(tw.InputError, match="default"):
        e.route("other", "q").select((), default="slow")
    assert e._core.snapshot() == before


def test_the_share_is_kept_while_another_mode_holds() -> None:
    e, _ = engine()
    assert e.mode("active", rollout=0.25) == "active"
    assert e.mode("shadow") == "shadow"
    assert (e.mode(), e.rollout) == ("shadow", 0.25)
    e.mode("active")
    assert e.rollout == 0.25
    assert e.mode(rollout=1.0) == "active"


@pytest.mark.parametrize(
    ("mode", "rollout"), [("on", None), ("", None), ("active", -0.1), ("active", 1.1), (None, math.nan)]
)
def test_a_wrong_mode_or_share_is_refused_and_changes_nothing(
    mode: str | None, rollout: float | None
) -> None:
    e, _ = engine()
    e.mode("shadow", rollout=0.5)
    before = e._core.snapshot()
    with pytest.raises(tw.ConfigError):
        e.mode(mode, rollout=rollout)  # type: ignore[arg-type]
    assert e._core.snapshot() == before


@pytest.mark.parametrize("how", ["observe", "default"])
def test_a_resource_that_leaves_while_a_request_is_read_is_not_the_one_that_takes_its_lane(how: str) -> None:
    """An array of the user's own runs Python when it is read, here what another thread might as well."""
    e, route = engine()

    class Array:
        def __array__(self, *_: object, **__: object) -> np.ndarray:
            if "slow" in {r.name for r in e.resources}:
                e.remove("slow")
                e.add(tw.Resource("other"))
            return np.zeros(0)

    e.mode("shadow")
    calls = {
        "observe": lambda: route.observe("slow", Array()),
        "default": lambda: route.select(Array(), default="slow"),
    }
    with pytest.raises(tw.UnknownName, match="slow"):
        calls[how]()
    assert e.load("other") == (0, 0)
    assert e.in_flight == 0


def test_what_somebody_else_chose_has_the_propensity_1_under_any_policy() -> None:
    qos = tw.QoS("q", 5.0, contract="best_effort", policy="thompson")
    e = tw.Engine(
        [tw.Resource("a"), tw.Resource("b")], [tw.Model("m")], [qos], clock=tw.ManualClock(), seed=1
    )
    assert e.route("m", "q").observe("a", ()).propensity == 1.0
    e.mode("active", rollout=0.5)
    ours = e.route("m", "q").select((), default="a")
    assert ours.propensity is None
