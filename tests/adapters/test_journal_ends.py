"""Ends that come at a bad moment: amid a listener's call, a collection, another thread's call, an answer's middle."""

from __future__ import annotations

import gc
import math
import threading

import pytest

from tailwise.adapters.deadline import narrow, within
from tailwise.adapters.journal import Decision
from tests.adapters.test_journal import World, counts


@pytest.fixture
def world() -> World:
    return World()


class Raises:
    """A listener with a fault."""

    def decided(self, decision: Decision) -> None:
        raise ValueError("decided")

    def ended(self, decision: Decision) -> None:
        raise ValueError("ended")


def test_a_listener_that_raises_is_logged_and_harms_neither_jobs_nor_other_listeners(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[str] = []

    class Ear:
        def decided(self, decision: Decision) -> None:
            heard.append("decided")

        def ended(self, decision: Decision) -> None:
            heard.append(str(decision.end))

    world.journal.listen(Raises())
    world.journal.listen(Ear())
    world.journal.select(world.plain, (1.0,)).retry().complete()
    assert heard == ["decided", "failed", "decided", "completed"]
    assert len(caplog.records) == 4
    assert counts(world) == (1, 1, 1, 0)


def test_an_entry_that_is_collected_amid_a_listeners_call_is_told_after_it(world: World) -> None:
    """A listener's own lock, as those of metrics libraries, is taken once at a time."""
    lock, ends = threading.Lock(), []

    class Locks:
        def decided(self, decision: Decision) -> None:
            with lock:
                gc.collect()

        def ended(self, decision: Decision) -> None:
            assert lock.acquire(blocking=False)
            ends.append(decision.number)
            lock.release()

    world.journal.listen(Locks())
    cycle: list[object] = [world.journal.select(world.plain, (1.0,))]
    cycle.append(cycle)
    del cycle
    world.clock.advance(0.5)
    world.journal.select(world.plain, (1.0,)).complete()
    world.clock.advance(1.0)
    assert counts(world) == (2, 1, 1, 0)  # it was dropped in time: nobody knows
    assert ends == [2, 1]
    assert world.journal.decisions[0].completion_s == pytest.approx(0.5)


@pytest.mark.parametrize("outer_s", [math.inf, 0.6])
def test_what_passed_before_the_decision_counts_in_the_times_as_in_the_verdict(
    world: World, outer_s: float
) -> None:
    with within(outer_s, world.clock):
        world.clock.advance(0.1)
        bounds = narrow(world.chat.qos, world.clock, 0.8, 99.8)
        entry = world.journal.select(world.chat, (), **bounds)
        assert entry.decision.left_s == entry.left_s == pytest.approx(min(0.5, outer_s - 0.1))
        world.clock.advance(0.4)
        entry.first()
        world.clock.advance(0.2)
        entry.complete(tokens=5)
    decision = entry.decision
    assert (decision.ttft_s, decision.completion_s) == (pytest.approx(0.7), pytest.approx(0.9))
    assert (decision.tpot_s, decision.on_time) == (pytest.approx(0.05), True)


def test_a_job_whose_ticket_is_settled_behind_the_journals_back_is_open_until_its_entry_is_collected(
    world: World,
) -> None:
    entry = world.journal.select(world.plain, (1.0,))
    entry.ticket.complete()
    assert counts(world) == (1, 0, 0, 1)
    world.clock.advance(5.0)
    del entry
    gc.collect()
    assert counts(world) == (1, 0, 0, 0)
    [decision] = world.journal.decisions
    assert (decision.end, decision.on_time, decision.completion_s) == ("cancelled", None, None)


def test_the_end_of_an_entry_that_is_settled_while_it_is_tried_again_is_told_once(world: World) -> None:
    ends: list[tuple[int, str | None]] = []

    class Ear:
        def decided(self, decision: Decision) -> None: ...

        def ended(self, decision: Decision) -> None:
            ends.append((decision.number, decision.end))

    first = world.journal.select(world.plain, (1.0,))

    class Settles:
        def __float__(self) -> float:  # as another thread may
            first.cancel()
            return 1.0

    world.journal.listen(Ear())
    first.retry(retry_after_s=Settles()).complete()  # type: ignore[arg-type]
    assert ends == [(1, "cancelled"), (2, "completed")]
    assert counts(world)[3] == 0


def test_jobs_whose_own_deadline_was_short_open_no_breaker_and_those_beyond_their_forecast_do(
    world: World,
) -> None:
    for _ in range(40):
        entry = world.journal.select(world.plain, (1.0,))
        world.clock.advance(0.1)
        entry.complete()

    def give_up(after_s: float) -> None:
        for _ in range(12):
            entry = world.journal.select(world.plain, (1.0,), mask=1)
            if entry.admitted:
                world.clock.advance(after_s)
                entry.timeout()
                assert (entry.decision.end, entry.decision.on_time) == ("timed_out", False)

    give_up(0.01)
    assert world.engine.health("a").state == "closed"
    assert world.engine.health("a").failures == 0
    give_up(2.0)
    assert world.engine.health("a").state != "closed"


@pytest.mark.parametrize(
    ("first_s", "end_s", "on_time"),
    [
        (0.4, 1.3, None),  # its reader has seen enough
        (0.6, 1.3, False),  # the first token
        (None, 0.4, None),
        (None, 1.3, False),
        (0.4, 10.5, False),  # the end
    ],
)
def test_an_answer_that_is_left_half_way_is_late_only_by_what_was_due_by_then(
    world: World, first_s: float | None, end_s: float, on_time: bool | None
) -> None:
    entry = world.journal.select(world.chat, ())
    if first_s is not None:
        world.clock.set(100.0 + first_s)
        entry.first()
    world.clock.set(100.0 + end_s)
    entry.cancel()
    assert entry.decision.on_time is on_time
    seen = world.engine.certificate("chat")
    assert (seen.n, seen.on_time) == ((0, None) if on_time is None else (1, 0.0))
