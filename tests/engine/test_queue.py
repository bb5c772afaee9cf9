"""The queue that executor, gateway and replay share: priority, then earliest deadline, expiry by the clock."""

import gc
import weakref
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tailwise as tw
from tailwise.dispatch import Dispatch
from tailwise.queue import Queues
from tests.engine.script import Script

SECOND = 1_000_000_000


def drain(queues: Queues[str], lane: int, now_ns: int = 0) -> list[str]:
    jobs = []
    while (job := queues.take(lane, now_ns)) is not None:
        jobs.append(job)
        queues.release(lane)
    return jobs


def test_higher_priority_leaves_first_then_the_earlier_deadline_then_the_earlier_arrival() -> None:
    queues: Queues[str] = Queues([1])
    queues.put("batch", 0, 2, 1 * SECOND)
    queues.put("late", 0, 0, 9 * SECOND)
    queues.put("soon", 0, 0, 5 * SECOND)
    queues.put("soon, second", 0, 0, 5 * SECOND)
    assert drain(queues, 0) == ["soon", "soon, second", "late", "batch"]


def test_no_job_starts_without_a_free_slot() -> None:
    queues: Queues[str] = Queues([2])
    for name in "abc":
        queues.put(name, 0, 0, SECOND)
    assert [queues.take(0, 0) for _ in range(3)] == ["a", "b", None]
    queues.release(0)
    assert queues.take(0, 0) == "c"


def test_a_job_that_need_not_queue_takes_its_slot_and_counts_for_shares_as_one_that_did() -> None:
    """A free slot and nobody who may start is all it takes: one whose deadline has come is nobody."""
    straight, queued = (Queues[str]([3], {"low": 0.3, "other": 0.2}) for _ in range(2))
    for queues in (straight, queued):  # "low" is passed over once, which gives it credit
        passed_over = queues.put("job", 0, 1, SECOND, "low")
        queues.put("job", 0, 0, SECOND, "high")
        queues.take(0, 0)
        queues.remove(passed_over)
    for qos in ("low", "high"):
        before = repr(straight._shares.credit)
        assert straight.occupy(0, 0, qos)
        assert (repr(straight._shares.credit) != before) is (qos == "low")
        queued.put("job", 0, 0, SECOND, qos)
        queued.take(0, 0)
        assert straight._shares.credit == queued._shares.credit
    assert not straight.occupy(0, 0, "low")
    straight.put("waits", 0, 0, SECOND)
    straight.release(0)
    assert not straight.occupy(0, 0, "low")
    assert straight.occupy(0, SECOND, "low")
    assert straight.take(0, 0) is None


def test_an_expired_job_is_never_taken_and_is_returned_by_expire_exactly_once() -> None:
    queues: Queues[str] = Queues([1])
    queues.put("dead", 0, 0, 1 * SECOND)
    queues.put("alive", 0, 1, 3 * SECOND)
    assert queues.next_expiry_ns() == 1 * SECOND
    assert queues.take(0, 1 * SECOND) == "alive"
    assert queues.expire(1 * SECOND) == ["dead"]
    assert queues.expire(9 * SECOND) == []
    assert queues.next_expiry_ns() is None


def test_a_removed_job_is_gone_from_every_view() -> None:
    queues: Queues[str] = Queues([1])
    entry = queues.put("a", 0, 0, SECOND)
    assert queues.remove(entry)
    assert not queues.remove(entry)
    assert len(queues) == 0
    assert queues.take(0, 0) is None
    assert queues.expire(2 * SECOND) == []


def test_clear_empties_all_queues() -> None:
    queues: Queues[str] = Queues([1, 1])
    queues.put("a", 0, 0, SECOND)
    queues.put("b", 1, 0, SECOND)
    assert sorted(queues.clear()) == ["a", "b"]
    assert len(queues) == 0
    assert queues.take(0, 0) is None


def test_a_job_that_has_left_is_let_go_however_far_its_deadline() -> None:
    """Only what waits is held: neither the job nor, beyond a constant, its place in the expiry order."""

    class Payload:
        pass

    queues: Queues[Payload] = Queues([1])
    queues.put(Payload(), 0, 7, SECOND)  # an early deadline at the head of the order
    left = []
    for _ in range(1000):
        job = Payload()
        left.append(weakref.ref(job))
        queues.put(job, 0, 0, 3600 * SECOND)
        del job
        assert queues.take(0, 0) is not None
        queues.release(0)
    gc.collect()
    assert not any(ref() for ref in left)
    assert len(queues._expiry) < 100


def test_places_of_jobs_that_left_are_let_go_although_nothing_starts_there() -> None:
    """A lane whose slot is taken for good: what is queued there leaves by moving elsewhere or by expiring."""
    queues: Queues[int] = Queues([1])
    queues.put(-1, 0, 0, 3600 * SECOND)  # alive at the head: nothing behind it ever surfaces
    for k in range(1000):
        entry = queues.put(k, 0, 7, k + 1)
        if k % 2:
            assert queues.remove(entry)
        else:
            assert queues.expire(k + 1) == [k]
    assert queues._kept(0) < 100
    assert queues.queued(0) == [-1]


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 2), st.integers(0, 3), st.integers(1, 30)),
        st.tuples(st.just("take"), st.integers(0, 2)),
        st.tuples(st.just("release"), st.integers(0, 2)),
        st.tuples(st.just("remove"), st.integers(0, 50)),
        st.tuples(st.just("tick"), st.integers(0, 5)),
    ),
    max_size=80,
)


@given(ACTIONS)
def test_every_job_leaves_exactly_once_and_in_order(actions: list[tuple]) -> None:
    """Any sequence of calls: a job is taken, expired or removed once; what is taken is the least of what waits;
    nothing waits past its deadline after `expire`; slots are never oversubscribed."""
    slots = [1, 2, 3]
    queues: Queues[int] = Queues(slots)
    waiting: dict[int, tuple[int, int, int, int]] = {}  # job -> (lane, priority, deadline, order)
    entries = {}
    left: set[int] = set()
    running = [0, 0, 0]
    now = 0
    for action, *args in actions:
        if action == "put":
            job = len(entries)
            lane, priority, after = args
            entries[job] = queues.put(job, lane, priority, now + after)
            waiting[job] = (lane, priority, now + after, job)
        elif action == "take":
            (lane,) = args
            ready = [(*w[1:], j) for j, w in waiting.items() if w[0] == lane and w[2] > now]
            taken = queues.take(lane, now)
            if running[lane] == slots[lane] or not ready:
                assert taken is None
            else:
                assert taken == min(ready)[-1]
                left.add(taken)
                del waiting[taken]
                running[lane] += 1
        elif action == "release":
            (lane,) = args
            if running[lane]:
                running[lane] -= 1
                queues.release(lane)
        elif action == "remove" and args[0] in entries:
            assert queues.remove(entries[args[0]]) == (args[0] in waiting)
            waiting.pop(args[0], None)
            left.add(args[0])
        elif action == "tick":
            now += args[0]
            for job in queues.expire(now):
                assert job not in left
                assert waiting.pop(job)[2] <= now
                left.add(job)
            assert all(w[2] > now for w in waiting.values())
        assert len(queues) == len(waiting)
        assert [queues.length(lane) for lane in range(3)] == [
            sum(w[0] == lane for w in waiting.values()) for lane in range(3)
        ]


@pytest.mark.parametrize(
    ("lane", "n_slots", "named"),
    [
        (-1, 5, "lane=-1"),
        (0.0, 5, "lane=0.0"),
        (0, -1, "n_slots=-1"),
        (2, 1.5, "n_slots=1.5"),
        (0, True, "True"),
    ],
)
def test_slots_that_are_no_whole_number_are_refused_and_change_nothing(
    lane: Any, n_slots: Any, named: str
) -> None:
    dispatch: Dispatch[str] = Dispatch([1, 1], Script())
    before = repr(dispatch._queues)
    with pytest.raises(tw.InputError, match=rf"{named}, but an int of 0 \.\. 2147483647"):
        dispatch.set_slots(lane, n_slots, SECOND)
    assert repr(dispatch._queues) == before
    with pytest.raises(tw.InputError, match="n_slots=-1"):
        Dispatch([1, -1], Script())


def test_a_lane_beyond_64_may_be_one_of_numpys_numbers() -> None:
    dispatch: Dispatch[str] = Dispatch([0], script := Script(lane=70, moves_to=0))
    for _ in range(2):
        dispatch.set_slots(np.int64(70), np.int64(1), 0)  # type: ignore[arg-type]
    qos = tw.QoS("q", 10.0)
    assert len([run for _ in range(2) for run in dispatch.submit("a", "m", qos, (), 0)[1].start]) == 1
    assert script.seen == [1 << 70] * 2
    dispatch.set_slots(np.int64(70), 0, SECOND)  # type: ignore[arg-type]
    assert [len(dispatch.queued(lane)) for lane in (0, 70)] == [1, 0]


@pytest.mark.parametrize("re_decide", [True, False])
def test_what_waits_at_a_lane_without_slots_moves_only_where_the_rules_re_decide(re_decide: bool) -> None:
    dispatch: Dispatch[str] = Dispatch([1, 1], Script(moves_to=1), rules=tw.Rules(re_decide=re_decide))
    qos = tw.QoS("q", 10.0)
    for name in "ab":
        waiting, _ = dispatch.submit(name, "m", qos, (), 0)
    assert (dispatch.set_slots(0, 0, SECOND).start == waiting.runs) is re_decide
    assert dispatch.due(10 * SECOND).ended == ([] if re_decide else [waiting])
