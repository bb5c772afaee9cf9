"""Active mode for a share of the jobs: the generator decides which, the caller's own choice stands for the rest."""

from __future__ import annotations

import pytest

import tailwise as tw
from tests.engine.test_modes import NAMES, engine, knowledge


def test_a_rollout_share_is_decided_by_the_generator() -> None:
    """400 jobs at a share of .3: 120 +- 9.2 are ours, four deviations allowed. Default and choice differ."""
    e, route = engine()
    e.mode("active", rollout=0.3)
    assert (e.mode(), e.rollout) == ("active", 0.3)
    ours = 0
    for _ in range(400):
        ticket = route.select((), default="slower")
        assert ticket.preferred.name == "fast"
        if ticket.resource.name == "fast":
            ours += 1
            assert ticket.propensity == pytest.approx(0.3)
            assert ticket.regret_s == 0.0
        else:
            assert ticket.resource.name == "slower"
            assert ticket.propensity == pytest.approx(0.7)
            assert ticket.regret_s == pytest.approx(0.3, rel=0.1)
        ticket.cancel()
    assert abs(ours - 120) < 37


def test_the_propensity_of_a_rollout_counts_both_ways_to_a_resource() -> None:
    e, route = engine()
    e.mode("active", rollout=0.3)
    for default, seen in (
        ("fast", {"fast": 1.0}),
        (None, {"fast": 0.3 + 0.7 / 3, "slow": 0.7 / 3, "slower": 0.7 / 3}),
    ):
        for _ in range(40):
            ticket = route.select((), default=default)
            assert ticket.propensity == pytest.approx(seen[ticket.resource.name])
            ticket.cancel()


@pytest.mark.parametrize("default", NAMES)
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_rollout_of_none_or_all_is_certain(share: float, default: str) -> None:
    e, route = engine()
    e.mode("active", rollout=share)
    for _ in range(20):
        ticket = route.select((), default=default)
        assert ticket.resource.name == ("fast" if share else default)
        assert ticket.propensity == 1.0
        ticket.cancel()


def test_the_jobs_of_a_rollout_that_are_not_ours_promise_nothing_and_teach() -> None:
    e, route = engine()
    e.mode("active", rollout=0.5)
    before, ours = knowledge(e), 0
    for _ in range(40):
        ticket = route.select((), default="slower")
        assert len(e._core.promised()) == (ticket.resource.name == "fast")
        ours += ticket.resource.name == "fast"
        ticket.complete(0.1 if ticket.resource.name == "fast" else 0.4)
    gained = [a[2] - b[2] for a, b in zip(knowledge(e), before, strict=True)]
    assert gained == [ours, 0, 40 - ours]


def test_a_probe_of_the_last_resource_has_a_propensity_under_a_rollout() -> None:
    """No lane is open for the default of the rest: both ways lead to our choice, the ejected one that is due."""
    e = tw.Engine(
        [tw.Resource("a")],
        [tw.Model("m")],
        [tw.QoS("q", 5.0)],
        clock=tw.ManualClock(),
        seed=1,
        health=tw.Health(consecutive_failures=2, max_ejected=1.0),
    )
    route = e.route("m", "q")
    for _ in range(2):
        route.select(()).fail()
    e.mode("active", rollout=0.5)
    assert route.select(()).reason == "no_resource"
    e.clock.advance(5.0)
    ticket = route.select(())
    assert ticket.admitted
    assert ticket.propensity == 1.0
    ticket.cancel()


def test_a_refusal_is_as_likely_as_its_share() -> None:
    """Nothing is in time: we refuse, the others send the job all the same."""
    firm = tw.Engine([tw.Resource("a")], [tw.Model("m")], [tw.QoS("q", 0.01)], clock=tw.ManualClock(), seed=1)
    route = firm.route("m", "q")
    for _ in range(20):
        route.select((), deadline_s=60.0).complete(1.0)
    firm.mode("active", rollout=0.25)
    refused = 0
    for default in ("a", None) * 20:
        ticket = route.select((), default=default)
        refused += not ticket.admitted
        # of the others' 1 - .25, and ours were it a probe: nobody knows without asking
        assert ticket.propensity == (None if ticket.admitted else 0.25)
    assert 0 < refused < 40


def test_a_probe_of_an_ejected_resource_is_only_ours() -> None:
    """The others take the open ones with the fewest jobs, of which the ejected one is none however few it has."""
    e = tw.Engine(
        [tw.Resource("a"), tw.Resource("b")],
        [tw.Model("m")],
        [tw.QoS("q", 5.0)],
        clock=tw.ManualClock(),
        seed=1,
    )
    route = e.route("m", "q")
    for _ in range(3):
        route.select((), mask=1).fail()
    e.clock.advance(3.0)
    e.mode("active", rollout=0.25)
    seen = {}
    for _ in range(40):
        ticket = route.select(())
        seen[ticket.resource.name] = ticket.propensity
        ticket.cancel()
    assert seen == {"a": 0.25, "b": 0.75}


def test_what_a_guaranteed_class_would_have_refused_is_ours_by_its_probes_only() -> None:
    """No claim reaches the promise: 1 refusal in 50 is let through. Without exploration none is."""
    for explore, ours in ((True, 0.02), (False, 0.0)):
        qos = tw.QoS("q", 0.01, 0.95, contract="guaranteed", explore=explore)
        e = tw.Engine([tw.Resource("a")], [tw.Model("m")], [qos], clock=tw.ManualClock(), seed=1)
        route = e.route("m", "q")
        for _ in range(20):
            route.observe("a", ()).complete(1.0)
        e.mode("active", rollout=0.25)
        for _ in range(400):
            ticket = route.select((), default="a")
            if ticket.admitted:
                assert ticket.propensity == pytest.approx(0.75 + 0.25 * ours)
                ticket.cancel()
            else:
                assert ticket.propensity == pytest.approx(0.25 * (1.0 - ours))


def test_a_refused_select_of_a_rollout_draws_nothing() -> None:
    e, route = engine()
    e.mode("active", rollout=0.5)
    before = e._core.snapshot()
    for _ in range(20):
        with pytest.raises(tw.InputError):
            route.select((1.0,))
    assert e._core.snapshot() == before


def test_what_might_have_gone_to_a_silent_resource_has_no_propensity_where_the_others_chose() -> None:
    """Whether we would have asked it is only known once we do."""
    seen = set()
    for seed in range(12):
        e, route = engine(seed)
        for _ in range(120):
            route.select(()).complete(0.1)
        e.clock.advance(1.0)
        e.mode("active", rollout=0.25)
        ticket = route.select((), default="fast")
        assert ticket.propensity == (0.25 if ticket.probe else None)
        seen.add(ticket.probe)
        ticket.cancel()
    assert seen == {True, False}
