"""The journal: a job is counted once, whatever tickets it had, and its verdict is the certificate's."""

from __future__ import annotations

import gc

import pytest

import tailwise as tw
from tailwise.adapters.entry import Entry
from tailwise.adapters.journal import Decision, Journal
from tailwise.adapters.view import snapshot


class World:
    """Two backends, a class with a deadline of one second and one with bounds on tokens, on a clock of the test."""

    def __init__(self, **options: float) -> None:
        self.clock = tw.ManualClock(100.0)
        self.engine = tw.Engine(
            [tw.Resource("a"), tw.Resource("b")],
            [tw.Model("net", features=("n",)), tw.Model("llm", signals=("ttft", "tpot"))],
            [tw.QoS("plain", 1.0), tw.QoS("chat", 10.0, ttft_s=0.5, tpot_s=0.1, priority=1)],
            clock=self.clock,
            seed=1,
        )
        self.journal = Journal(self.engine, wall=lambda: self.clock.now_ns() * 1e-9, **options)
        self.plain, self.chat = self.engine.route("net", "plain"), self.engine.route("llm", "chat")


@pytest.fixture
def world() -> World:
    return World()


def counts(world: World, qos: str = "plain") -> tuple[int, int, int, int]:
    tally = world.journal.classes[qos]
    return tally.offered, tally.known, tally.on_time, tally.open


def test_a_job_on_time_counts_once_and_leaves_nothing_open(world: World) -> None:
    entry = world.journal.select(world.plain, (1.0,), request_id="r1")
    assert counts(world) == (1, 0, 0, 1)
    world.clock.advance(0.25)
    entry.complete()
    assert counts(world) == (1, 1, 1, 0)
    [decision] = world.journal.decisions
    assert (decision.end, decision.on_time, decision.request_id) == ("completed", True, "r1")
    assert decision.completion_s == pytest.approx(0.25)
    assert world.engine.in_flight == 0


def test_a_late_job_a_failed_one_and_one_given_up_are_known_to_be_late(world: World) -> None:
    for end in ("complete", "fail", "timeout"):
        entry = world.journal.select(world.plain, (1.0,))
        world.clock.advance(1.5)
        getattr(entry, end)()
    assert counts(world) == (3, 3, 0, 0)
    assert dict(world.journal.classes["plain"].ended) == {"completed": 1, "failed": 1, "timed_out": 1}


def test_a_job_cancelled_in_time_has_no_verdict_and_one_cancelled_after_its_deadline_was_late(
    world: World,
) -> None:
    world.journal.select(world.plain, (1.0,)).cancel()
    late = world.journal.select(world.plain, (1.0,))
    world.clock.advance(1.5)
    late.cancel()
    assert counts(world) == (2, 1, 0, 0)


def test_a_refused_job_is_known_with_its_reason_and_explained(world: World) -> None:
    world.engine.drain("a")
    world.engine.drain("b")
    entry = world.journal.select(world.plain, (1.0,))
    assert not entry.admitted
    assert counts(world) == (1, 1, 0, 0)
    assert dict(world.journal.classes["plain"].refused) == {"no_resource": 1}
    [refusal] = world.journal.refusals
    assert refusal.explanation is not None
    assert {c.excluded for c in refusal.explanation.excluded} == {"drained"}
    assert refusal.to_json()["explanation"]["cells"][0][0] == "resource"


def test_a_retry_goes_elsewhere_as_the_same_job(world: World) -> None:
    first = world.journal.select(world.plain, (1.0,))
    world.clock.advance(0.2)
    second = first.retry()
    assert second.resource != first.resource
    assert counts(world) == (1, 0, 0, 1)
    world.clock.advance(0.2)
    second.complete()
    assert counts(world) == (1, 1, 1, 0)
    assert [(d.job, d.attempt, d.end) for d in world.journal.decisions] == [
        (1, 1, "failed"),
        (1, 2, "completed"),
    ]
    assert second.decision.completion_s == pytest.approx(0.4)


def test_a_job_whose_retry_is_refused_has_failed(world: World) -> None:
    first = world.journal.select(world.plain, (1.0,))
    world.clock.advance(1.5)
    assert not first.retry().admitted
    assert counts(world) == (1, 1, 0, 0)
    assert dict(world.journal.classes["plain"].ended) == {"failed": 1}
    with pytest.raises(tw.TicketError, match="open"):
        first.retry()


@pytest.mark.parametrize("winner", [0, 1])
def test_the_first_of_two_copies_to_complete_ends_the_job(world: World, winner: int) -> None:
    for i in range(20):  # a second run is worth it only where jobs are known to be stuck now and then
        entry = world.journal.select(world.plain, (1.0,))
        world.clock.advance(0.9 if i in (14, 15) else 0.01)
        entry.complete()
    first = world.journal.select(world.plain, (1.0,))
    first.ticket.start()
    world.clock.advance(0.8)
    second = first.copy()
    assert second is not None
    pair = [first, second]
    pair[winner].complete()
    assert counts(world) == (21, 21, 21, 0)
    pair[1 - winner].fail()
    assert counts(world) == (21, 21, 21, 0)
    assert world.engine.in_flight == 0


@pytest.mark.parametrize(
    ("first_s", "end_s", "tokens", "on_time"),
    [
        (0.4, 1.3, 10, True),
        (0.6, 1.3, 10, False),  # the first token
        (0.4, 2.0, 10, False),  # the pace
        (0.4, 2.0, 1, True),  # one token has none
        (0.4, 11.0, 1000, False),  # the end
        (0.4, 1.3, None, None),
        (None, 1.3, 10, None),
    ],
)
def test_an_answer_is_on_time_when_first_token_pace_and_end_are(
    world: World, first_s: float | None, end_s: float, tokens: int | None, on_time: bool | None
) -> None:
    entry = world.journal.select(world.chat, ())
    if first_s is not None:
        world.clock.set(100.0 + first_s)
        entry.first()
    world.clock.set(100.0 + end_s)
    entry.complete(tokens=tokens)
    assert entry.decision.on_time is on_time
    assert counts(world, "chat") == (1, int(on_time is not None), int(on_time is True), 0)


def test_an_entry_that_nobody_settles_is_cancelled_when_it_is_collected(world: World) -> None:
    entry = world.journal.select(world.plain, (1.0,))
    del entry
    gc.collect()
    assert counts(world) == (1, 0, 0, 0)
    assert world.engine.in_flight == 0


@pytest.mark.parametrize(
    ("error", "end"), [(ValueError, "failed"), (KeyboardInterrupt, "cancelled"), (None, "completed")]
)
def test_leaving_with_settles(world: World, error: type[BaseException] | None, end: str) -> None:
    entry = world.journal.select(world.plain, (1.0,))
    try:
        with entry:
            if error is not None:
                raise error
    except BaseException as raised:
        assert type(raised) is error  # noqa: PT017
    assert entry.decision.end == end


def test_the_last_minute_is_forgotten_by_the_second(world: World) -> None:
    world.journal.select(world.plain, (1.0,)).complete()
    assert world.journal.recent("plain") == (1, 0, 1, 1)
    world.clock.advance(30.0)
    world.journal.select(world.plain, (1.0,)).fail()
    assert world.journal.recent("plain") == (2, 0, 2, 1)
    world.clock.advance(40.0)
    assert world.journal.recent("plain") == (1, 0, 1, 0)
    assert [n for n in world.journal.by_second("plain") if n != (0, 0, 0, 0)] == [(1, 0, 1, 0)]
    world.clock.advance(60.0)
    assert world.journal.recent("plain") == (0, 0, 0, 0)


def test_listeners_hear_each_decision_and_each_end_once(world: World) -> None:
    heard: list[tuple[str, int]] = []

    class Ear:
        def decided(self, decision: Decision) -> None:
            heard.append(("decided", decision.number))

        def ended(self, decision: Decision) -> None:
            heard.append((str(decision.end), decision.number))

    world.journal.listen(Ear())
    first = world.journal.select(world.plain, (1.0,))
    first.retry().complete()
    assert heard == [("decided", 1), ("failed", 1), ("decided", 2), ("completed", 2)]


def test_only_so_many_decisions_are_kept_and_explained_a_second() -> None:
    world = World(keep=16, explain_per_s=2.0)
    for _ in range(40):
        world.journal.select(world.plain, (1.0,)).complete()
        world.clock.advance(0.05)
    kept = world.journal.decisions
    assert [d.number for d in kept] == list(range(25, 41))
    assert 1 <= sum(d.explanation is not None for d in kept) <= 2  # 16 of them are 0.8 s
    with pytest.raises(tw.InputError, match="keep=0"):
        World(keep=0)


def test_at_no_explanations_a_second_none_is_made_and_a_clock_that_goes_back_stops_none() -> None:
    world = World(explain_per_s=0.0)
    world.journal.select(world.plain, (1.0,)).complete()
    assert world.journal.decisions[0].explanation is None
    world = World(explain_per_s=1.0)
    world.journal.select(world.plain, (1.0,)).complete()
    world.clock.set(50.0)
    world.journal.select(world.plain, (1.0,)).complete()
    assert all(d.explanation is not None for d in world.journal.decisions)


def test_it_tells_how_much_more_load_a_class_could_take(world: World) -> None:
    """Ten jobs a second of 50 ms, each on one of two backends: a quarter of what they can serve."""
    assert world.journal.headroom("plain") is None
    for _ in range(300):
        entry = world.journal.select(world.plain, (1.0,))
        world.clock.advance(0.05)
        entry.complete()
        world.clock.advance(0.05)
    share = world.journal.headroom("plain")
    assert share == pytest.approx(3.0, rel=0.2)
    assert world.journal.headroom("chat") is None
    [seen] = [c for c in snapshot(world.engine, world.journal)["classes"] if c["name"] == "plain"]
    assert seen["headroom"] == share
    with pytest.raises(tw.UnknownName):
        world.journal.headroom("nobody")


def test_refused_jobs_are_load_too(world: World) -> None:
    """Forty a second that take 50 ms, which is all that two backends can serve: more than that is refused."""
    open_entries: list[tuple[float, Entry]] = []
    for k in range(1200):
        now_s = 100.0 + k / 80.0
        world.clock.set(now_s)
        for _, done in [one for one in open_entries if one[0] <= now_s]:
            done.complete(0.05)
        open_entries = [one for one in open_entries if one[0] > now_s]
        entry = world.journal.select(world.plain, (1.0,), deadline_s=0.1)
        if entry.admitted:
            ends_s = max([now_s, *(end for end, other in open_entries if other.resource == entry.resource)])
            open_entries.append((ends_s + 0.05, entry))
    tally = world.journal.classes["plain"]
    assert tally.refused.total() > 100
    share = world.journal.headroom("plain")
    assert share is not None
    assert -0.8 < share < -0.4


def test_jobs_are_written_in_every_mode_though_in_bypass_mode_nothing_explains_them(world: World) -> None:
    for mode in ("shadow", "frozen", "bypass", "active"):
        world.clock.advance(10.0)  # so that each may be explained
        world.engine.mode(mode)
        world.journal.select(world.plain, (1.0,), default="a").complete()
    explained = [decision.explanation is not None for decision in world.journal.decisions]
    assert explained == [True, True, False, True]
    assert counts(world) == (4, 4, 4, 0)


def test_what_is_not_looked_at_in_bypass_mode_need_be_no_features() -> None:
    world = World(explain_per_s=1e-9)
    world.journal.select(world.plain, (1.0,)).complete()  # which is explained, and nothing after it
    world.engine.mode("bypass")
    world.journal.select(world.plain, ("?", 2.0)).complete()
    assert counts(world) == (2, 2, 2, 0)
