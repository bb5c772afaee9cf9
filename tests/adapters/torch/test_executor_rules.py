"""The rules of queues with real workers: jobs move, are dropped and hedged, and their records say so."""

import threading
from collections.abc import Callable

import pytest
import torch

import tailwise as tw
from tailwise.adapters.torch import Executor, Thread
from tailwise.errors import JobExpired
from tailwise.policy import Assignment, Learned
from tests.adapters.torch.jobs import wait_until
from tests.engine.script import Script


class Held:
    """A model that holds each input back until it is let go; the second call with the same input runs through."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._gates: dict[float, threading.Event] = {}
        self.seen: list[float] = []

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        with self._lock:
            self.seen.append(float(x))
            first = self.seen.count(float(x)) == 1
        if first:
            assert self.gate(float(x)).wait(60)
        return x

    def gate(self, value: float) -> threading.Event:
        with self._lock:
            return self._gates.setdefault(value, threading.Event())

    def let_go(self, *values: float) -> None:
        for value in values:
            self.gate(value).set()


def engine() -> tw.Engine:
    """Two equal resources on which a job is known to take 5 ms give or take 30%, whatever the results say."""
    return tw.Engine(
        [tw.Resource("cpu-0"), tw.Resource("cpu-1")],
        [tw.Model("held")],
        [tw.QoS("urgent", 60.0, priority=0), tw.QoS("batch", 600.0, priority=2)],
        profiles=[tw.Profile(name, "held", 0.005, 0.3, 1e6) for name in ("cpu-0", "cpu-1")],
        seed=1,
    )


def start(held: Callable[[torch.Tensor], torch.Tensor], **options: object) -> Executor:
    return Executor(engine(), {"held": held}, {"cpu-0": Thread(), "cpu-1": Thread()}, **options)  # type: ignore[arg-type]


def number(value: float) -> torch.Tensor:
    return torch.tensor(value)


def hold_both(executor: Executor, held: Held) -> dict[str, float]:
    """Occupies both resources; which value each of them holds."""
    executor.submit("held", "batch", number(0.0))
    wait_until(lambda: 0.0 in held.seen)
    first = next(name for name in ("cpu-0", "cpu-1") if executor.engine.load(name) == (1, 0))
    executor.submit("held", "batch", number(1.0))
    wait_until(lambda: 1.0 in held.seen)
    return {name: 0.0 if name == first else 1.0 for name in ("cpu-0", "cpu-1")}


def where_it_waits(executor: Executor) -> tuple[str, str]:
    """The resource with a queue, and the other one."""
    names = ["cpu-0", "cpu-1"]
    here = next(name for name in names if executor.engine.load(name) == (1, 1))
    return here, names[names[0] == here]


def test_a_job_that_waits_longer_than_predicted_moves_to_a_resource_that_became_free() -> None:
    held = Held()
    with start(held) as executor:
        holds = hold_both(executor, held)
        held.let_go(2.0)
        waiting = executor.submit("held", "batch", number(2.0))
        here, other = where_it_waits(executor)
        held.let_go(holds[other])
        assert float(waiting.result(60)) == 2.0
        assert waiting.record is not None
        assert waiting.record.n_moves == 1
        assert waiting.record.resource == other
        assert executor.engine.load(here) == (1, 0)
        held.let_go(0.0, 1.0)
    assert executor.engine.in_flight == 0


def test_without_the_rule_it_waits_where_it_was_sent() -> None:
    held = Held()
    with start(held, rules=tw.Rules(re_decide=False)) as executor:
        holds = hold_both(executor, held)
        held.let_go(2.0)
        waiting = executor.submit("held", "batch", number(2.0))
        here, other = where_it_waits(executor)
        held.let_go(holds[other])
        wait_until(lambda: executor.engine.load(other) == (0, 0))
        assert executor.engine.load(here) == (1, 1)
        held.let_go(0.0, 1.0)
        assert float(waiting.result(60)) == 2.0
        assert waiting.record is not None
        assert (waiting.record.n_moves, waiting.record.resource) == (0, here)


def test_the_queue_of_a_worker_that_dies_moves_on() -> None:
    held = Held()
    with start(held) as executor:
        executor._pool._replace = lambda lane: None  # type: ignore[method-assign]  # it stays down
        hold_both(executor, held)
        held.let_go(2.0)
        waiting = executor.submit("held", "batch", number(2.0))
        here, other = where_it_waits(executor)
        executor.workers[executor.engine.lane(here)].kill()
        wait_until(lambda: executor.engine.load(other) == (1, 1))
        held.let_go(0.0, 1.0)
        assert float(waiting.result(60)) == 2.0
        assert waiting.record is not None
        assert waiting.record.resource == other
    assert executor.engine.in_flight == 0


def show_outliers(executor: Executor, held: Held) -> None:
    """One job on each resource takes ten times as long as forecast."""
    hold_both(executor, held)
    threading.Event().wait(0.05)
    held.let_go(0.0, 1.0)
    assert executor.drain(60)


def test_an_urgent_job_that_is_stuck_gets_a_copy_whose_result_counts() -> None:
    held = Held()
    with start(held, rules=tw.Rules(hedge_budget=1.0)) as executor:
        show_outliers(executor, held)
        stuck = executor.submit("held", "urgent", number(7.0))
        assert float(stuck.result(60)) == 7.0  # its first run is held still
        assert held.seen.count(7.0) == 2
        assert stuck.record is not None
        assert stuck.record.hedged
        assert stuck.record.end == "completed"
        loser = next(name for name in ("cpu-0", "cpu-1") if name != stuck.record.resource)
        assert executor.engine.load(loser) == (1, 0)
        assert not executor.drain(0.0)
        before = executor.engine.profile(loser, "held").n_results
        held.let_go(7.0)
        assert executor.drain(60)
        assert executor.engine.profile(loser, "held").n_results == before + 1
    assert executor.engine.in_flight == 0


def test_a_batch_job_that_is_stuck_is_not_copied() -> None:
    held = Held()
    with start(held, rules=tw.Rules(hedge_budget=1.0)) as executor:
        show_outliers(executor, held)
        stuck = executor.submit("held", "batch", number(7.0))
        threading.Event().wait(0.1)
        held.let_go(7.0)
        stuck.result(60)
        assert held.seen.count(7.0) == 1
        assert stuck.record is not None
        assert not stuck.record.hedged


def test_a_failed_job_tells_its_error_although_its_queued_copy_was_cancelled() -> None:
    """The copy waits behind a job that is held; the first run fails; then all that is queued is cancelled."""
    held, script = Held(), Script(lane=1, hedge_at=0.01, copies_to=1, wait=60.0)

    def fails_late(x: torch.Tensor) -> torch.Tensor:
        if float(held(x)) == 1.0:
            raise LookupError("not today")
        return x

    with start(fails_late, policy=script, rules=tw.Rules(hedge_budget=1.0)) as executor:
        executor.submit("held", "batch", number(0.0))
        script.lane = 0
        failing = executor.submit("held", "urgent", number(1.0))
        wait_until(lambda: len(executor._dispatch.queued(1)) == 1)
        held.let_go(1.0)
        wait_until(lambda: ("failed", 0) in [(end, lane) for lane, end, _ in script.ends])
        assert not failing.done()
        assert executor.cancel_queued() == 1
        with pytest.raises(LookupError, match="not today"):
            failing.result(60)
        assert failing.record is not None
        assert (failing.record.end, failing.record.resource) == ("failed", "cpu-0")
        held.let_go(0.0)


class Hopeless(Learned):
    """Says of every job that waited that it cannot be in time any more."""

    def may_start(self, assignment: Assignment, left_s: float) -> bool:
        assert 0.0 < left_s < 600.0
        return False


def test_a_job_dropped_at_its_turn_says_why() -> None:
    held = Held()
    executor = start(held)
    with executor:
        executor.policy = Hopeless(executor.engine)
        holds = hold_both(executor, held)
        waiting = executor.submit("held", "batch", number(2.0))
        here, _ = where_it_waits(executor)
        held.let_go(holds[here])
        with pytest.raises(JobExpired, match="could not be expected to end within 600"):
            waiting.result(60)
        assert waiting.record is not None
        assert (waiting.record.end, waiting.record.reason) == ("expired", "late_start")
        held.let_go(0.0, 1.0)
    assert 2.0 not in held.seen
    assert executor.engine.in_flight == 0


def test_a_class_with_a_minimum_share_is_not_starved_by_the_ones_above() -> None:
    """One resource; nine urgent jobs and a batch job wait. At a share of a quarter the fourth start is batch's."""
    held = Held()
    shared = tw.Engine(
        [tw.Resource("cpu-0")],
        [tw.Model("held")],
        [tw.QoS("urgent", 60.0, priority=0), tw.QoS("batch", 600.0, priority=2, min_share=0.25)],
        seed=1,
    )
    with Executor(shared, {"held": held}, {"cpu-0": Thread()}) as executor:
        executor.submit("held", "urgent", number(0.0))
        wait_until(lambda: 0.0 in held.seen)
        for value in range(1, 10):
            held.let_go(float(value))
            executor.submit("held", "urgent", number(float(value)))
        held.let_go(99.0)
        executor.submit("held", "batch", number(99.0))
        held.let_go(0.0)
        assert executor.drain(60)
    assert held.seen == [0.0, 1.0, 2.0, 3.0, 99.0, *(float(value) for value in range(4, 10))]
