"""What best_effort, standard and guaranteed refuse, and how a refusing class finds out that it is wrong."""

from __future__ import annotations

import pytest

import tailwise as tw


def learned(qos: tw.QoS) -> tuple[tw.Engine, tw.ManualClock]:
    """One resource that answered 20 jobs of another class in a second each."""
    teacher, clock = tw.QoS("teacher", 60.0, priority=7, contract="best_effort"), tw.ManualClock()
    e = tw.Engine([tw.Resource("r")], [tw.Model("m")], [qos, teacher], clock=clock, seed=1)
    for _ in range(20):
        e.route("m", "teacher").select(()).complete(1.0)
    return e, clock


def test_a_refusal_a_second_is_a_marked_probe_where_nothing_is_learned() -> None:
    """100 refusals a second for 20 s: one of each second passes, the others occupy nothing."""
    e, clock = learned(tw.QoS("q", 0.01))
    probes = 0
    for _ in range(2000):
        clock.advance(0.01)
        ticket = e.route("m", "q").select(())
        assert ticket.admitted == ticket.probe
        if ticket.admitted:
            probes += 1
            ticket.cancel()
    assert probes == pytest.approx(20, abs=1)


def test_a_resource_that_was_slow_and_is_fast_again_is_found_out_by_refused_jobs() -> None:
    """Believed at 1 s after 20 results, it answers in 10 ms; the class wants 100 ms. The belief's mean of ln falls
    under ln .1 when half of the results are new, that is after 20 probes, one a second, if no alarm cuts it short."""
    e, clock = learned(tw.QoS("q", 0.1))
    taken = []
    for _ in range(2500):
        clock.advance(0.01)
        ticket = e.route("m", "q").select(())
        if ticket.admitted:
            ticket.complete(0.01)
        taken.append(ticket.admitted and not ticket.probe)
    assert not any(taken[:90])
    assert all(taken[-100:])


def test_a_class_that_forbids_exploration_stays_refused() -> None:
    e, clock = learned(tw.QoS("q", 0.1, explore=False))
    for _ in range(500):
        clock.advance(0.1)
        assert not e.route("m", "q").select(()).admitted


def test_without_exploration_an_untried_resource_is_not_favoured() -> None:
    """Two resources, one answered: the untried one is believed equal, behind by the shrinkage towards it only
    where the class may explore."""
    first = {}
    for explore in (True, False):
        qos = tw.QoS("q", 60.0, contract="best_effort", explore=explore)
        e = tw.Engine(
            [tw.Resource("a"), tw.Resource("b", offset_s=0.001)],
            [tw.Model("m")],
            [qos],
            clock=tw.ManualClock(),
            seed=1,
        )
        e.route("m", "q").select((), mask=1).complete(0.1)
        first[explore] = e.route("m", "q").select(()).resource.name
    assert first == {True: "b", False: "a"}


@pytest.mark.parametrize(("weight", "results", "refuses"), [(8.0, 0, True), (5.0, 0, False), (5.0, 3, True)])
def test_a_given_profile_is_knowledge_that_a_standard_class_refuses_by(
    weight: float, results: int, refuses: bool
) -> None:
    """A second is known, a tenth of one is left: refused from eight results on, given and own ones together, but for
    the probe that comes once a second."""
    clock = tw.ManualClock(5.0)
    e = tw.Engine(
        [tw.Resource("r")],
        [tw.Model("m")],
        [tw.QoS("q", 0.1), tw.QoS("teacher", 60.0, contract="best_effort")],
        profiles=[tw.Profile("r", "m", 1.0, weight=weight)],
        clock=clock,
        seed=1,
    )
    for _ in range(results):
        e.route("m", "teacher").select(()).complete(1.0)
    clock.advance(1.0)
    e.route("m", "q").select(())  # the probe, where one is due
    assert e.route("m", "q").select(()).admitted == (not refuses)
