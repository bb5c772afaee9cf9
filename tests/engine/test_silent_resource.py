"""Which job is sent to a resource that is believed slow and that nobody has heard of for a while: the rule."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tailwise as tw

SPREAD = 0.3


class Bench:
    """r0 answers in 1 s, r1 in .1 s: given so firmly that no result moves the forecast. Two slots each.
    known: results of r0 so far, of each model; from 8 on a change is noticed."""

    def __init__(
        self, *qos: tw.QoS, models: int = 1, weight: float = 1e9, known: int = 0, **options: object
    ) -> None:
        self.clock = tw.ManualClock()
        names = [f"m{k}" for k in range(models)]
        self.engine = tw.Engine(
            [tw.Resource("r0", slots=2), tw.Resource("r1", slots=2)],
            [tw.Model(name) for name in names],
            qos or [tw.QoS("q", 10.0)],
            profiles=[
                tw.Profile(r, name, s, SPREAD, weight)
                for name in names
                for r, s in (("r0", 1.0), ("r1", 0.1))
            ],
            clock=self.clock,
            seed=1,
            **options,  # type: ignore[arg-type]
        )
        for name in names:
            for _ in range(known):
                self.engine.route(name, (qos or [tw.QoS("q", 10.0)])[0].name).select((), mask=1).complete(1.0)

    def send(
        self, n: int = 1, qos: str = "q", model: str = "m0", r0_s: float = 1.0, each_s: float = 0.01
    ) -> list[bool]:
        """n jobs of one class, one at a time, answered as believed: which of them were probes of r0. None was sent
        there but as a probe."""
        probes = []
        for _ in range(n):
            ticket = self.engine.route(model, qos).select(())
            slow = ticket.resource.name == "r0"
            assert slow == ticket.probe
            ticket.complete(r0_s if slow else 0.1)
            probes.append(ticket.probe)
            self.clock.advance(each_s)
        return probes

    def ask(self, qos: str = "q", **kwargs: object) -> bool:
        """Whether the next job, which is cancelled, is a probe."""
        ticket = self.engine.route("m0", qos).select((), **kwargs)  # type: ignore[arg-type]
        if ticket.admitted:
            ticket.cancel()
        return ticket.probe


def test_a_probe_comes_after_110_results_of_its_class_and_no_sooner() -> None:
    probes = Bench().send(1000)
    assert np.flatnonzero(probes).tolist() == list(range(110, 1000, 111))


def test_a_probe_is_outside_the_promise_and_has_a_propensity() -> None:
    bench = Bench()
    bench.send(110)
    assert bench.engine.certificate("q").n == 110
    ticket = bench.engine.route("m0", "q").select(())
    assert (ticket.probe, ticket.admitted, ticket.propensity) == (True, True, 1.0)
    ticket.complete(1.0)
    assert bench.engine.certificate("q").n == 110


def test_a_resource_is_not_asked_while_it_is_heard_of() -> None:
    """By results of another model: whether it is slow shows there."""
    bench = Bench(models=2)
    lane = bench.engine.lane("r0")
    for _ in range(30):
        assert not any(bench.send(20, each_s=0.02))
        bench.engine.route("m1", "q").select((), mask=1 << lane).complete(1.0)
    assert not any(bench.send(20, each_s=0.02))
    assert any(bench.send(20, each_s=0.02))


def test_a_busy_a_masked_and_a_drained_resource_are_not_asked() -> None:
    bench = Bench()
    bench.send(110)
    held = bench.engine.route("m0", "q").select((), mask=1)
    assert not bench.ask()
    held.cancel()
    bench.clock.advance(0.5)
    assert not bench.ask(mask=2)
    bench.clock.advance(0.001)
    bench.engine.drain("r0")
    assert not bench.ask()
    bench.clock.advance(0.001)
    bench.engine.undrain("r0")
    assert bench.ask()


def test_a_resource_that_is_far_away_is_not_asked() -> None:
    """Were it as fast as the other one, .1 s, it would still cost .2 s more."""
    bench = Bench()
    bench.engine.add(tw.Resource("far", offset_s=0.2), profiles=[tw.Profile("far", "m0", 0.1, SPREAD, 1e9)])
    bench.engine.drain("r0")
    assert not any(bench.send(500))


@pytest.mark.parametrize(("on_time", "first"), [(0.9, 110), (0.95, 110), (0.98, 250), (0.99, 500)])
def test_jobs_that_would_be_late_there_are_a_fifth_of_what_the_class_may_miss(
    on_time: float, first: int
) -> None:
    probes = Bench(tw.QoS("q", 0.5, on_time)).send(3 * first)
    assert np.flatnonzero(probes).tolist() == [first, 2 * first + 1]


def test_a_guaranteed_class_asks_only_where_its_promise_holds() -> None:
    tight = tw.QoS("q", 0.5, 0.9, contract="guaranteed")
    assert not any(Bench(tight).send(1000))
    bench = Bench(tw.QoS("q", 5.0, 0.9, contract="guaranteed"))
    bench.send(110)
    ticket = bench.engine.route("m0", "q").select(())
    assert ticket.probe
    assert ticket.p_on_time >= 0.9
    ticket.cancel()


def test_a_guaranteed_class_does_not_follow_a_surprise_where_its_promise_does_not_hold() -> None:
    """A result of the lazy class was three sd faster than believed: the next probe is a lazy job, not a tight one."""
    tight = tw.QoS("tight", 0.5, 0.9, contract="guaranteed")
    bench = Bench(tw.QoS("lazy", 10.0, priority=1), tight, known=8)
    bench.send(102, qos="lazy")
    assert bench.send(1, qos="lazy", r0_s=math.exp(-3 * SPREAD)) == [True]
    assert not any(bench.send(20, qos="tight"))
    assert bench.send(1, qos="lazy") == [True]


@pytest.mark.parametrize(
    "qos",
    [
        tw.QoS("q", 10.0, objective="cost"),
        tw.QoS("q", 10.0, max_cost=1.0),
        tw.QoS("q", 10.0, policy="ucb"),
        tw.QoS("q", 10.0, explore=False),
    ],
)
def test_a_class_that_has_other_reasons_to_pass_a_resource_over_does_not_ask(qos: tw.QoS) -> None:
    bench = Bench(qos)
    assert sum(bench.send(500)) == 0


@pytest.mark.parametrize("mode", ["shadow", "frozen"])
def test_nobody_is_asked_where_nothing_would_come_of_it(mode: str) -> None:
    """In shadow mode the job runs elsewhere, in frozen mode nothing is learned."""
    bench = Bench()
    bench.send(110)
    bench.engine.mode(mode)  # type: ignore[arg-type]
    for _ in range(300):
        ticket = bench.engine.route("m0", "q").select((), default="r1")
        assert ticket.preferred.name == "r1"
        assert not ticket.probe
        ticket.complete(0.1)
        bench.clock.advance(0.01)
    bench.engine.mode("active")
    assert bench.ask()


def test_without_change_detection_nobody_is_asked() -> None:
    assert not any(Bench(detect_change=False).send(1000))


def test_one_lucky_result_makes_one_more_probe() -> None:
    """Three sd faster than believed, then as believed: the second probe follows at once, the third in its turn."""
    bench = Bench(known=8)
    bench.send(102)
    assert bench.send(1, r0_s=math.exp(-3 * SPREAD)) == [True]
    assert bench.send(1) == [True]
    assert not any(bench.send(110))
    assert bench.send(1) == [True]


def test_a_streak_of_luck_ends_with_the_first_result_that_is_slower_than_the_median() -> None:
    """Three such results count 6.75; by their sum alone another eight would follow them."""
    bench = Bench(known=8)
    bench.send(102)
    assert all(bench.send(3, r0_s=math.exp(-3 * SPREAD)))
    assert bench.send(1, r0_s=1.01) == [True]
    assert not any(bench.send(100))
    assert bench.engine.alarms("r0") == 0


def test_a_cancelled_probe_is_asked_for_again_when_the_class_has_paid_again() -> None:
    bench = Bench()
    bench.send(110)
    assert bench.ask()
    assert not any(bench.send(110))
    assert bench.send(1) == [True]


def test_what_one_model_finds_out_makes_the_others_look() -> None:
    """Both models know r0 to be slow, and it is no more: four results of m0 raise the alarm. Then m1 sends its next
    jobs there, until it believes it."""
    bench = Bench(models=2, weight=100.0, known=8)
    bench.send(94)
    for _ in range(4):
        assert bench.send(1, r0_s=0.05) == [True]
    assert bench.engine.alarms("r0") == 1
    names = []
    for _ in range(10):
        ticket = bench.engine.route("m1", "q").select(())
        names.append(ticket.resource.name)
        ticket.complete(0.05 if names[-1] == "r0" else 0.1)
    assert names == ["r0"] * 10
    assert bench.engine.profile("r0", "m1").median_s < 0.1


def test_an_operator_who_says_that_a_resource_has_changed_makes_all_its_models_look() -> None:
    bench = Bench(models=2)
    for model in ("m0", "m1"):
        assert not any(bench.send(10, model=model))
    bench.engine.changed("r0")
    for model in ("m0", "m1"):
        assert sum(bench.send(20, model=model)) == 8
