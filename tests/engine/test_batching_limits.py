"""When a free slot is held for more of a batch, what keeps batches small, and what is refused."""

from __future__ import annotations

import pytest

import tailwise as tw
from tailwise.dispatch import Dispatch
from tailwise.errors import ConfigError, InputError
from tests.engine.joined import HIGH, LOW, MODELS, SECOND, Play, Sized
from tests.engine.script import Script


def test_a_free_slot_is_held_for_more_until_the_first_has_waited_for_it() -> None:
    play = Play(Sized(), hold_s=0.5)
    play.submit("a", 1.0)
    assert (play.starts, play.dispatch.next_due_ns()) == ([], round(1.5 * SECOND))
    play.submit("b", 1.3)
    play.due(1.49)
    assert play.starts == []
    play.due(1.5)
    assert play.starts == ["a+b"]


def test_a_full_batch_starts_at_once() -> None:
    play = Play(Sized(), hold_s=0.5)
    play.submit("a", 1.0)
    play.submit("b", 1.1, items=3.0)
    assert play.starts == ["a+b"]
    play.submit("c", 1.2, items=4.0)
    play.end("a+b", 2.0)
    assert play.starts == ["a+b", "c"]  # no room: not held


def test_no_slot_is_held_while_another_job_waits() -> None:
    play = Play(Sized(), hold_s=0.5, slots=2)
    play.submit("a", 1.0)
    play.submit("other shape", 1.1, shape="t")
    assert play.starts == ["a"]  # who comes next is not kept waiting; and then is held itself
    play.submit("not to be joined", 1.2, shape=None)
    assert play.starts == ["a", "other shape"]
    play.end("a", 1.3)
    assert play.starts[-1] == "not to be joined"


def test_a_job_is_held_no_longer_than_one_more_item_would_keep_it_in_time() -> None:
    """Two items take 3 s; the job has 10."""
    play = Play(Sized(each_s=1.0, wait=1e6), hold_s=60.0)
    play.submit("a", 0.0, HIGH)
    assert play.dispatch.next_due_ns() == 7 * SECOND
    play.submit("b", 2.0, HIGH)
    assert play.dispatch.next_due_ns() == 6 * SECOND
    play.due(6.0)
    assert play.starts == ["a+b"]
    play.submit("late", 7.0, HIGH, deadline_s=1.0)
    play.end("a+b", 7.5)
    assert play.starts[-1] == "late"  # as it is, every second makes it worse


def test_a_held_job_that_leaves_takes_nothing_with_it() -> None:
    play = Play(Sized(), hold_s=0.5)
    job = play.submit("a", 1.0)
    play.carry_out(play.dispatch.cancel(job, SECOND))
    play.due(2.0)
    play.submit("b", 3.0)
    assert play.starts == []
    play.due(3.5)
    assert play.starts == ["b"]
    assert play.dispatch.next_due_ns() is not None or len(play.dispatch) == 1


# --- declarations ---------------------------------------------------------------------------------------------


def test_a_resource_that_was_limited_gets_smaller_batches_until_the_limit_is_lifted() -> None:
    play = Play(Sized())
    play.dispatch.limit_batch(0, "m", 2)
    for name in "abcdefghi":
        play.submit(name)
    play.end("a", 1.0)
    play.end("b+c", 2.0)
    play.dispatch.limit_batch(0, "m", None)
    play.end("d+e", 3.0)
    assert play.starts == ["a", "b+c", "d+e", "f+g+h+i"]


def test_a_limit_is_of_one_resource_and_one_model() -> None:
    play = Play(Sized())
    play.dispatch.limit_batch(1, "m", 1)
    play.dispatch.limit_batch(0, "k", 1)
    for name in "abc":
        play.submit(name)
    play.end("a", 1.0)
    assert play.starts == ["a", "b+c"]


@pytest.mark.parametrize("items", [0, -1, float("nan"), "2"])
def test_a_limit_that_is_no_number_of_items_is_refused(items: object) -> None:
    with pytest.raises(InputError, match="max_items"):
        Play(Sized()).dispatch.limit_batch(0, "m", items)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("batching", "said"),
    [
        ({"nobody": tw.Batching(2)}, "nobody"),
        ({"bare": tw.Batching(2)}, "items"),
        ({"chat": tw.Batching(2)}, "signals"),
        ({"m": 2}, "Batching"),
    ],
)
def test_what_cannot_be_batched_is_refused_by_name(batching: object, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Dispatch([1], Script(), batching=batching, models=MODELS)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"max_items": 0}, "max_items"),
        ({"max_items": 2.5}, "max_items"),
        ({"max_items": 2, "hold_s": -1.0}, "hold_s"),
        ({"max_items": 2, "hold_s": float("inf")}, "hold_s"),
        ({"max_items": 2, "hold_s": float("nan")}, "hold_s"),
    ],
)
def test_batching_out_of_range_is_refused_by_name(fields: dict[str, float], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        tw.Batching(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("features", "shape", "said"),
    [
        ((1.0, 1.0), [1], "shape"),
        ((1.0,), "s", "features"),
        ((1.0, "a"), "s", "items"),
        ((1.0, 0.0), "s", "items"),
    ],
)
def test_a_job_that_cannot_be_joined_as_it_says_is_refused_and_changes_nothing(
    features: tuple[object, ...], shape: object, said: str
) -> None:
    policy = Sized()
    play = Play(policy)
    with pytest.raises(InputError, match=said):
        play.dispatch.submit("a", "m", LOW, features, 0, shape=shape)  # type: ignore[arg-type]
    assert policy.seen == []
    assert len(play.dispatch) == 0
