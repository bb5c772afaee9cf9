"""Jobs served together as one run: `ticket.start_batch`."""

from __future__ import annotations

import gc
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tailwise as tw
from tests.engine.riding import CLASSES, engine, queued, select


@given(
    model=st.sampled_from(["m", "columns"]),
    batches=st.lists(st.lists(st.floats(0.5, 8.0), min_size=1, max_size=4), min_size=1, max_size=12),
    seconds=st.floats(0.01, 3.0),
    order=st.randoms(use_true_random=False),
)
def test_a_batch_teaches_what_one_job_with_its_features_teaches(
    model: str, batches: list[list[float]], seconds: float, order: Random
) -> None:
    """Two engines, one where jobs are served together and one where a single job has the features of the whole: all
    that is believed of the resource is the same to the last bit, in whatever order the tickets are settled."""
    together, clock = engine()
    single, its_clock = engine()
    for sizes in batches:
        tickets = queued(together, sizes, model)
        tickets[0].start_batch(tickets[1:], (sum(sizes),))
        alone = select(single, model, sum(sizes))
        alone.start()
        assert together.load("r") == single.load("r") == (1, 0)
        np.testing.assert_array_equal(tickets[0].features, alone.features)
        assert tickets[0].service_s == tickets[-1].service_s == alone.service_s
        for moving in (clock, its_clock):
            moving.advance(seconds)
        order.shuffle(tickets)
        for ticket in tickets:
            ticket.complete()
        alone.complete()
    for e in (together, single):
        assert (e.in_flight, e.load("r")) == (0, (0, 0))
    assert str(together.profile("r", model, (3.0,))) == str(single.profile("r", model, (3.0,)))
    mine, its = (e.statistics()[0] for e in (together, single))
    for name in type(mine).__dataclass_fields__:
        np.testing.assert_equal(getattr(mine, name), getattr(its, name))


ENDS = st.sampled_from(["complete", "fail", "cancel", "timeout", "drop", "abandon"])


@given(ends=st.lists(ENDS, min_size=1, max_size=5), lead_at=st.integers(0, 5), after_s=st.floats(0.0, 12.0))
def test_riders_keep_their_promises_and_teach_nothing(ends: list[str], lead_at: int, after_s: float) -> None:
    """Whatever becomes of them, before or after the lead's end: profile, breaker and load are what the lead makes of
    them, and the certificate counts each that completes or fails, by its own deadline."""
    e, clock = engine()
    tickets = queued(e, [1.0] * len(ends))
    first = select(e)
    first.start_batch(tickets, (4.0,))
    clock.advance(after_s)

    def known() -> tuple[object, ...]:
        profile = e.profile("r", "m", (4.0,))
        return str(profile), profile.n_results, profile.throughput_per_s, e.health("r"), e.load("r")

    assert known()[-1] == (1, 0)
    seen_s = 0.0
    for k, how in enumerate(ends):
        if k == lead_at:
            first.complete()
            seen_s = after_s
            assert known()[-1] == (0, 0)
        qos = CLASSES[k % 2]
        before, promised = known(), e.certificate(qos.name)
        if how == "abandon":
            tickets.pop(0)
            gc.collect()
        else:
            getattr(tickets.pop(0), how)()
        assert known() == before
        seen = e.certificate(qos.name)
        # nobody reads the clock for one that is collected: it is dated by the last call
        seen_s = seen_s if how == "abandon" else after_s
        uncounted = how in ("abandon", "cancel") and seen_s < qos.deadline_s
        assert (seen.n - promised.n, promised.open - seen.open) == (not uncounted, 1)
        if how == "complete":
            assert (
                seen.on_time
                == ((promised.on_time or 0.0) * promised.n + (after_s <= qos.deadline_s)) / seen.n
            )
    if lead_at >= len(ends):
        first.fail()
        assert e.profile("r", "m").n_results == 1
    assert (e.in_flight, e.load("r"), e._core.promised()) == (0, (0, 0), [])


def test_members_of_a_batch_neither_move_nor_are_copied() -> None:
    e, clock = engine()
    tickets = queued(e, [1.0, 1.0])
    tickets[0].start_batch(tickets[1:], (2.0,))
    clock.advance(60.0)
    for ticket in tickets:
        with pytest.raises(tw.TicketError, match="together"):
            ticket.copy()
        with pytest.raises(tw.TicketError, match="started"):
            ticket.reconsider()
        ticket.start()  # changes nothing
        assert ticket.residual_s > 0.0
    assert e.load("r") == (1, 0)


def test_a_rider_that_failed_is_tried_again_with_its_own_features() -> None:
    e, _ = engine()
    tickets = queued(e, [1.0, 2.0, 5.0])
    tickets[0].start_batch(tickets[1:], (8.0,))
    again = tickets[2].retry()
    expected = e.route("m", "high").select((5.0,), mask=0b10)
    assert again.resource.name == "other"
    np.testing.assert_array_equal(again.features, expected.features)
    assert e.profile("r", "m").n_results == 0  # the lead will say how the run went


def test_a_probe_that_rides_is_answered_by_the_lead() -> None:
    """The breaker waits for the ticket that it let through; as a rider its run is the lead's."""
    e, clock = engine(health=tw.Health(consecutive_failures=1, backoff_s=1.0))
    early = select(e)
    ticket = select(e)
    ticket.start()
    ticket.fail()
    assert e.health("r").state == "open"
    clock.advance(60.0)
    probe = select(e)
    assert probe.probe
    early.start_batch([probe], (2.0,))
    probe.complete()
    assert e.health("r").state != "closed"
    early.complete()
    assert e.health("r").state == "closed"


def test_a_resource_may_go_and_another_take_its_lane_while_riders_are_open() -> None:
    e, _ = engine(max_resources=2)
    tickets = queued(e, [1.0] * 3)
    tickets[0].start_batch(tickets[1:], (3.0,))
    e.remove("r")
    with pytest.raises(tw.CapacityError):
        e.add(tw.Resource("new"))
    tickets[0].complete()
    e.add(tw.Resource("new"))
    for ticket in tickets[1:]:
        assert ticket.resource.name == "r"
        ticket.complete(1.0)
    assert (e.load("new"), e.in_flight, e.profile("new", "m").n_results) == ((0, 0), 0, 0)


def test_tokens_of_a_batch_are_held_until_its_end() -> None:
    model = tw.Model("m", ("prompt_tokens",), (tw.Column("kv", tracked="kv_tokens", scale=100.0),))
    e = tw.Engine([tw.Resource("r", discipline="priority")], [model], CLASSES, clock=tw.ManualClock())

    def held() -> float:
        probe = e.route("m", "high").select((1.0,))
        try:
            return float(np.expm1(probe.features[-1])) * 100.0
        finally:
            probe.cancel()

    tickets = [e.route("m", "low").select((float(n),)) for n in (100, 200, 300)]
    assert held() == pytest.approx(600.0)
    tickets[1].start_batch([tickets[0], tickets[2]], (600.0,))
    tickets[0].complete()
    assert held() == pytest.approx(600.0)
    tickets[1].complete()
    assert held() == 0.0
    tickets[2].complete()
    assert held() == 0.0


@pytest.mark.parametrize("when", ["before", "between", "after"])
def test_in_bypass_mode_nothing_is_kept_of_a_batch(when: str) -> None:
    e, _ = engine()
    tickets = []
    if when == "before":
        e.mode("bypass")
    for _ in range(2):
        tickets.append(e.route("m", "high").select((1.0,), mask=1))
        if when == "between":
            e.mode("bypass")
    if when == "after":
        e.mode("bypass")
    n_held = e.in_flight
    tickets[1].start_batch(tickets[:1], (2.0,))
    assert e.load("r") == (min(n_held, 1), 0)
    assert (tickets[1].service_within_s((2.0,), 0.9) is None) == (when != "after")
    for ticket in tickets:
        ticket.complete(0.1)
    assert (e.in_flight, e.load("r")) == (0, (0, 0))


@given(p=st.floats(0.001, 0.999), n=st.floats(0.5, 16.0), n_learned=st.integers(0, 20))
def test_the_time_within_which_a_run_ends_is_the_quantile_of_its_forecast(
    p: float, n: float, n_learned: int
) -> None:
    e, _ = engine()
    for k in range(n_learned):
        ticket = select(e, n=1.0 + k % 3)
        ticket.start()
        ticket.complete(0.1 + 0.01 * (k % 3) + 0.001 * k)
    ticket = select(e)
    before = e._core.snapshot()
    within_s = ticket.service_within_s((n,), p)
    assert e._core.snapshot() == before
    profile = e.profile("r", "m", (n,))
    assert within_s == pytest.approx(
        profile.quantile(p), rel=0.2
    )  # float32, and an eighth of the results is newer
    alone = select(e, n=n)
    assert alone.service_within_s((n,), 0.5) == pytest.approx(alone.median_s, rel=1e-5)


def test_queued_jobs_count_for_what_they_take_together() -> None:
    """Jobs of a second alone, of which eight take 1.2 s together: whoever comes after eight is told so."""
    e, clock = engine(profiles=[tw.Profile("r", "m", 1.0, 0.05, 1e6)])
    route = e.route("m", "low")

    def wait_s() -> float:
        return next(row.wait_s for row in route.peek((1.0,), mask=1))

    for round_ in range(30):
        tickets = [route.select((1.0,), mask=1) for _ in range(8)]
        if round_ == 0:
            assert wait_s() == pytest.approx(8.0, rel=0.01)
        else:  # at once; it takes some to learn what one takes, of which this is a share
            assert wait_s() == pytest.approx(1.2, rel=0.3 if round_ < 20 else 0.03)
        tickets[0].start_batch(tickets[1:], (8.0,))
        clock.advance(1.2)
        for ticket in tickets:
            ticket.complete()
    for _ in range(100):  # one by one again: they are found to take a second each
        ticket = route.select((1.0,), mask=1)
        ticket.start()
        clock.advance(1.0)
        ticket.complete()
    waiting = [route.select((1.0,), mask=1) for _ in range(4)]
    assert wait_s() == pytest.approx(4.0, rel=0.05)
    for ticket in waiting:
        ticket.cancel()
    assert wait_s() == 0.0
