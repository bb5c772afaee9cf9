"""How much more load a class could take: worlds in which that is known, what counts, and when it is not known."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

import tailwise as tw
from tailwise.headroom import Headroom
from tailwise.places import Place

SERVICE_S = 0.1
GOOD = 0.99 / 0.95  #: the availability that is believed of a resource without results, over on_time
HASTY = tw.QoS("hasty", 10.0, on_time=0.95, priority=0)
CALM = tw.QoS("calm", 10.0, on_time=0.95, priority=1)
PAIR = (HASTY, CALM)


class Watched:
    """An engine whose services are known (given profiles), and its headroom. Jobs come evenly."""

    def __init__(
        self,
        qos: Sequence[tw.QoS] = PAIR,
        slots: Sequence[int] = (1, 1),
        service_s: Sequence[float] = (SERVICE_S, SERVICE_S),
        known: bool = True,
    ) -> None:
        self.clock = tw.ManualClock(1000.0)
        resources = [tw.Resource(f"r{i}", slots=n) for i, n in enumerate(slots)]
        profiles = [
            tw.Profile(r.name, "m", s, spread=0.1, weight=1e4)
            for r, s in zip(resources, service_s, strict=True)
        ]
        models = [tw.Model("m"), tw.Model("stream", signals=("ttft", "tpot"))]
        self.engine = tw.Engine(
            resources, models, qos, profiles=profiles if known else [], clock=self.clock, seed=1, health=None
        )
        self.headroom = Headroom(self.engine)

    def offer(self, rates: dict[str, float], seconds: float = 30.0, **own: float) -> Watched:
        n = round(100 * seconds)
        for k in range(1, n + 1):
            self.clock.advance(0.01)
            for qos, rate in rates.items():
                if int(rate * k / 100.0) > int(rate * (k - 1) / 100.0):
                    self.headroom.offered("m", qos, (), **own)
        return self


def test_at_half_of_what_is_borne_the_load_may_double() -> None:
    """20 jobs a second are borne, and a twentieth may be lost, of which a hundredth goes to failures."""
    assert Watched().offer({"hasty": 10.0}).headroom("hasty") == pytest.approx(2.0 * GOOD - 1.0, rel=0.02)


@pytest.mark.parametrize("rate", [4.0, 16.0, 19.0, 40.0])
def test_it_is_the_same_load_that_is_too_much_however_much_there_is(rate: float) -> None:
    share = Watched().offer({"hasty": rate}).headroom("hasty")
    assert share is not None
    assert rate * (1.0 + share) == pytest.approx(20.0 * GOOD, rel=0.03)
    assert (share < 0.0) == (rate > 21.0)


def test_twice_the_slots_bear_twice_the_load() -> None:
    one = Watched().offer({"hasty": 10.0}).headroom("hasty")
    two = Watched(slots=(2, 2)).offer({"hasty": 10.0}).headroom("hasty")
    assert one is not None
    assert two == pytest.approx(1.0 + 2.0 * one, rel=0.03)


def test_those_ahead_count_and_those_behind_do_not() -> None:
    both = Watched().offer({"hasty": 5.0, "calm": 10.0})
    alone = Watched().offer({"hasty": 5.0})
    assert both.headroom("hasty") == pytest.approx(alone.headroom("hasty"), rel=0.02)
    assert both.headroom("calm") == pytest.approx(1.0 / 3.0, abs=0.05)


def test_a_tight_deadline_leaves_less() -> None:
    tight = tw.QoS("hasty", 0.2, on_time=0.95)
    share = Watched(qos=[tight]).offer({"hasty": 10.0}).headroom("hasty")
    assert share is not None
    assert 0.1 < share < 0.8


def test_a_class_that_no_resource_can_please_has_less_than_none() -> None:
    assert Watched(qos=[tw.QoS("hasty", 0.05, on_time=0.95)]).offer({"hasty": 2.0}).headroom("hasty") == -1.0


def test_the_bounds_that_jobs_bring_stand_in_for_the_classes() -> None:
    own = Watched().offer({"hasty": 10.0}, left_s=0.2).headroom("hasty")
    tight = Watched(qos=[tw.QoS("hasty", 0.2, on_time=0.95)]).offer({"hasty": 10.0}).headroom("hasty")
    assert own == tight


def test_a_slow_resource_helps_where_it_is_in_time_and_not_elsewhere() -> None:
    """It takes five seconds: of use for a deadline of ten (.2 jobs a second), not for one of one second."""
    patient = Watched(service_s=(SERVICE_S, 5.0)).offer({"hasty": 4.0}).headroom("hasty")
    hasty = Watched(qos=[tw.QoS("hasty", 1.0, on_time=0.95)], service_s=(SERVICE_S, 5.0)).offer(
        {"hasty": 4.0}
    )
    alone = Watched(qos=[tw.QoS("hasty", 1.0, on_time=0.95)], slots=(1,), service_s=(SERVICE_S,)).offer(
        {"hasty": 4.0}
    )
    assert patient == pytest.approx(10.2 * GOOD / 4.0 - 1.0, rel=0.05)
    one, two = alone.headroom("hasty"), hasty.headroom("hasty")
    assert one is not None
    assert two == pytest.approx(one, rel=0.1)


def test_drained_resources_and_those_that_others_fill_are_not_counted() -> None:
    free = Watched(slots=(1,), service_s=(SERVICE_S,)).offer({"hasty": 4.0}).headroom("hasty")
    drained = Watched().offer({"hasty": 4.0})
    drained.engine.drain("r0")
    assert drained.headroom("hasty") == pytest.approx(free, rel=0.02)
    filled = Watched().offer({"hasty": 4.0})
    filled.engine.report("r0", running=1, waiting=0)
    assert filled.headroom("hasty") == pytest.approx(free, rel=0.05)
    drained.engine.drain("r1")
    drained.clock.advance(5.0)
    assert drained.headroom("hasty") == -1.0


def test_a_job_that_nobody_can_run_is_lost() -> None:
    """A tenth of the class, of which a twentieth may be lost."""
    watched = Watched()
    watched.offer({"hasty": 9.0})
    nowhere = tw.Engine(
        [tw.Resource("r0"), tw.Resource("r1")],
        [tw.Model("m"), tw.Model("other", resources=("r1",))],
        [HASTY],
        profiles=[tw.Profile("r0", "m", 0.1, 0.1, 1e4), tw.Profile("r1", "other", 0.1, 0.1, 1e4)],
        clock=watched.clock,
        seed=1,
    )
    headroom = Headroom(nowhere)
    for k in range(300):
        watched.clock.advance(0.1)
        headroom.offered("other" if k % 10 == 0 else "m", "hasty", ())
    assert (headroom("hasty") or 0.0) > 0.0
    nowhere.drain("r1")
    watched.clock.advance(5.0)
    assert headroom("hasty") == -1.0


UNKNOWN = {
    "nobody came": lambda: Watched(),
    "few came": lambda: Watched().offer({"hasty": 0.6}),
    "they only begin to come": lambda: Watched().offer({"hasty": 50.0}, seconds=3.0),
    "none came for a minute": lambda: Watched().offer({"hasty": 9.0}).offer({}, seconds=61.0),
    "nothing is known of their times": lambda: Watched(known=False).offer({"hasty": 9.0}),
    "others come": lambda: Watched().offer({"calm": 9.0}),
}


@pytest.mark.parametrize("what", UNKNOWN)
def test_it_is_not_known_where(what: str) -> None:
    assert UNKNOWN[what]().headroom("hasty") is None


LLM = tw.Model(
    "llm",
    (tw.Feature("prompt_tokens", typical=500),),
    (
        tw.Column("ahead", 500, tracked="prefill_tokens", plus="uncached"),
        tw.Column("busy", 4, tracked="running"),
    ),
    signals=("ttft", "tpot"),
)
TOKENS, READ_S, PACE_S = 100, 2e-4, 0.02


def streaming(qos: tw.QoS, resource: tw.Resource, slowed: float = 0.0) -> tuple[tw.Engine, Headroom]:
    """A resource that reads at .2 ms a token and answers 100 tokens at 20 ms (1 + slowed x jobs there), as its
    profile has learned from up to four jobs at once; two jobs a second with 500 tokens each."""
    clock = tw.ManualClock(100.0)
    e = tw.Engine([resource], [LLM], [qos], clock=clock, seed=1, health=None)
    route, headroom = e.route("llm", qos.name), Headroom(e)
    Z = route.buffer()
    for k in range(240):
        running = []
        for i in range(1 + k % 4):
            Z[0] = 250.0 * (1 + (k + i) % 3)
            ticket = route.select((500,), Z, mask=1)
            ticket.first(READ_S * 250.0 * (1 + (k + i) % 3))
            running.append(ticket)
        for i, ticket in enumerate(running):
            first_s = READ_S * 250.0 * (1 + (k + i) % 3)
            ticket.complete(first_s + (TOKENS - 1) * PACE_S * (1.0 + slowed * i), tokens=TOKENS)
    for k in range(120):
        clock.advance(0.5)
        Z[0] = 250.0 * (1 + k % 3)
        headroom.offered("llm", qos.name, (500,), Z, lane=0)
    return e, headroom


def test_answers_hold_a_slot_to_their_last_token() -> None:
    """.1 s to read and 99 x 20 ms: eight slots bear 3.8 a second, if reading did not slow the others. It does, by a
    factor of at least 1 - .1 x 3.8 (profiles saw reading for .2 of the time) and at most 1."""
    qos = tw.QoS("chat", ttft_s=5.0, tpot_s=0.2, contract="best_effort")
    _, headroom = streaming(qos, tw.Resource("r", slots=8))
    share = headroom("chat")
    assert share is not None
    assert 0.62 / 0.8 * 3.8 / 2.0 - 1.0 < share < 1.1 * 3.8 / 2.0 - 1.0


def test_a_soft_capacity_ends_where_the_pace_does() -> None:
    """With n others there a token takes 20 ms (1 + n / 10): a bound of 30 ms holds with five others, one of 40 with
    ten, one of 15 never. Six in 3.1 s each are 2% less than the two jobs a second that come, eleven in 4.1 s 34%
    more; what reading takes and the forecasts' own spread move that by up to .25."""

    def share(tpot_s: float) -> float | None:
        qos = tw.QoS("chat", ttft_s=5.0, tpot_s=tpot_s, contract="best_effort", explore=False)
        return streaming(qos, tw.Resource("r", max_running=64), slowed=0.1)[1]("chat")

    none, some, more = share(0.015), share(0.03), share(0.04)
    assert none == -1.0
    assert some == pytest.approx(-0.02, abs=0.25)
    assert more == pytest.approx(0.34, abs=0.25)


def test_the_pace_that_jobs_bring_stands_in_for_their_classes() -> None:
    qos = tw.QoS("chat", ttft_s=5.0, tpot_s=0.2, contract="best_effort")
    e, headroom = streaming(qos, tw.Resource("r", slots=8))
    for _ in range(200):
        e.clock.advance(0.5)  # type: ignore[attr-defined]
        headroom.offered("llm", "chat", (500,), tpot_s=0.01)
    assert headroom("chat") == -1.0


def test_reading_takes_the_share_of_the_time_that_the_flow_asks_for() -> None:
    """flow = slots / seconds of each, reading = flow x seconds of reading, both as of the same fill."""
    qos = tw.QoS("chat", ttft_s=5.0, tpot_s=0.2, contract="best_effort")
    e, headroom = streaming(qos, tw.Resource("r", slots=8))
    [arrivals] = headroom._arrivals.values()
    jobs = arrivals.jobs(e._core, list(arrivals.last), rate=2.0)
    place = Place.of(e._core, [jobs], 0, e.resources[0])
    [belief] = place.beliefs.values()
    assert belief.reading_s == pytest.approx(READ_S * 500.0, rel=0.3)
    assert place.fill.reading_then == pytest.approx(2.0 * belief.reading_s)
    flow = 8.0 / float(belief.outlook(place.fill).seconds.mean())
    assert flow * belief.reading_s == pytest.approx(place.fill.reading, rel=0.1)


def test_who_comes_ahead_in_unknown_numbers_makes_it_unknown() -> None:
    watched = Watched(qos=[HASTY, tw.QoS("chat", ttft_s=1.0, priority=0), CALM])
    for _ in range(300):
        watched.clock.advance(0.1)
        watched.headroom.offered("m", "calm", ())
        watched.headroom.offered("stream", "chat", ())
    assert watched.headroom("calm") is None


def test_rates_are_those_of_the_last_minute() -> None:
    was = Watched().offer({"hasty": 16.0}, seconds=60.0).offer({"hasty": 4.0}, seconds=61.0)
    assert was.headroom("hasty") == pytest.approx(20.0 * GOOD / 4.0 - 1.0, rel=0.05)


def test_asking_changes_nothing_and_twice_says_the_same() -> None:
    first, second = (Watched().offer({"hasty": 9.0, "calm": 3.0}) for _ in range(2))
    before = first.engine._core.snapshot()
    assert first.headroom("calm") == second.headroom("calm")
    assert first.engine._core.snapshot() == before


def test_an_answer_stands_for_five_seconds() -> None:
    watched = Watched().offer({"hasty": 9.0})
    told = watched.headroom("hasty")
    watched.offer({"hasty": 90.0}, seconds=4.9)
    assert watched.headroom("hasty") == told
    watched.offer({"hasty": 90.0}, seconds=0.2)
    assert watched.headroom("hasty") != told


def test_bad_input_is_named() -> None:
    headroom = Watched().headroom
    with pytest.raises(tw.UnknownName, match="'nobody'"):
        headroom("nobody")
    with pytest.raises(tw.UnknownName):
        headroom.offered("m", "nobody", ())
    with pytest.raises(tw.UnknownName):
        headroom.offered("nothing", "hasty", ())
    for x in ((1.0,), ("1",), None):
        with pytest.raises(tw.InputError, match="'m'"):
            headroom.offered("m", "hasty", x)  # type: ignore[arg-type]
    with pytest.raises(tw.InputError, match="window_s=0"):
        Headroom(Watched().engine, window_s=0.0)
