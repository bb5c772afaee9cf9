"""Nothing is lost and nothing comes twice, whatever callers, models and the clock do at once."""

import threading
from collections import Counter
from concurrent.futures import CancelledError
from functools import partial

import numpy as np
import pytest
import torch

import tailwise as tw
from tailwise.adapters.torch import Executor, JobFuture, Thread
from tailwise.errors import JobExpired, JobRejected, QueueFull
from tests.adapters.torch.jobs import wait_until

N_THREADS = 4


def moody(x: torch.Tensor) -> torch.Tensor:
    if float(x) < 0:
        raise LookupError("not today")
    return x


class Caller:
    """One thread that submits, cancels, and checks what became of each of its jobs."""

    def __init__(self, executor: Executor, n: int, seed: int) -> None:
        self.executor, self.n, self.seed = executor, n, seed
        self.ends: Counter[str] = Counter()
        self.told: Counter[int] = Counter()
        self.futures: dict[int, JobFuture] = {}

    def run(self) -> None:
        rng = np.random.default_rng(self.seed)
        for i, (fails, waits, cancels) in enumerate(rng.random((self.n, 3))):
            value = float(-1 - i if fails < 0.1 else i)
            try:
                future = self.executor.submit(
                    "m",
                    "urgent" if waits < 0.5 else "batch",
                    torch.tensor(value, dtype=torch.float64),
                    deadline_s=0.002 if waits > 0.9 else None,
                )
            except QueueFull:
                self.ends["full"] += 1
                continue
            self.futures[i] = future
            future.add_done_callback(partial(self.heard, i))
            if cancels < 0.1:
                future.cancel()
            if cancels > 0.95:
                wait_until(future.done)

    def heard(self, i: int, future: object) -> None:
        self.told[i] += 1

    def check(self) -> None:
        for i, future in self.futures.items():
            assert future.record is not None
            try:
                value = float(future.result(0))
                end = "completed"
                assert value == i
            except LookupError:
                end = "failed"
            except CancelledError:
                end = "cancelled"
            except JobExpired:
                end = "expired"
            except JobRejected:
                end = "rejected"
            assert future.record.end == end
            self.ends[end] += 1
        assert sum(self.ends.values()) == self.n
        assert set(self.told.values()) <= {1}
        assert set(self.told) == set(self.futures)


def live(n_jobs: int) -> Counter[str]:
    before = set(threading.enumerate())
    engine = tw.Engine(
        [tw.Resource("a", slots=2), tw.Resource("b", slots=1)],
        [tw.Model("m")],
        [tw.QoS("urgent", 0.5, on_time=0.9, priority=0), tw.QoS("batch", 5.0, on_time=0.5, priority=2)],
        health=tw.Health(consecutive_failures=1000, min_success=0.0),
        seed=1,
    )
    executor = Executor(
        engine, {"m": moody}, {"a": Thread(slots=2), "b": Thread()}, max_queued=500, timeout_s=30.0
    )
    with executor:
        callers = [Caller(executor, n_jobs // N_THREADS, seed) for seed in range(N_THREADS)]
        threads = [threading.Thread(target=caller.run) for caller in callers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert executor.drain(120)
        stats = executor.stats()
    assert engine.in_flight == 0
    assert engine.load("a") == engine.load("b") == (0, 0)
    assert set(threading.enumerate()) <= before
    ends: Counter[str] = Counter()
    for caller in callers:
        caller.check()
        ends += caller.ends
    counted = {
        end: sum(getattr(c, end) for c in stats.classes)
        for end in ("completed", "failed", "cancelled", "expired", "rejected")
    }
    assert counted == {end: ends[end] for end in counted}
    return ends


def test_ten_thousand_random_submits_cancels_and_failures_end_once_each() -> None:
    ends = live(10_000)
    assert min(ends[end] for end in ("completed", "failed", "cancelled")) > 100


@pytest.mark.long
def test_a_hundred_thousand_do() -> None:
    live(100_000)
