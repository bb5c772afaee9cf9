"""Policies, listeners and callers that misbehave: no job is lost by it, and none keeps a slot."""

import gc
import threading
import weakref
from dataclasses import dataclass

import pytest
import torch

import tailwise as tw
from tailwise.adapters.torch import Executor, JobRecord, Process, Thread
from tailwise.errors import JobExpired
from tailwise.policy import Assignment, End
from tests.adapters.torch.jobs import wait_until
from tests.adapters.torch.workers import both_kinds


@dataclass
class Raising:
    """A policy that raises as often as told to, at the end or at the start of a job."""

    ends: int = 0
    starts: int = 0

    def assign(
        self,
        model: str,
        qos: str,
        features: tuple[float, ...],
        mask: int | None,
        deadline_s: float | None = None,
    ) -> Assignment:
        return Assignment(0)

    def started(self, assignment: Assignment) -> None:
        if self.starts:
            self.starts -= 1
            raise OSError("told to")

    def ended(self, assignment: Assignment, end: End, service_s: float, completion_s: float) -> None:
        if self.ends:
            self.ends -= 1
            raise OSError("told to")


def engine() -> tw.Engine:
    return tw.Engine([tw.Resource("cpu")], [tw.Model("m")], [tw.QoS("q", 60.0)], seed=1)


def same(x: torch.Tensor) -> torch.Tensor:
    return x


X = torch.zeros(1)


def test_a_job_at_whose_end_the_policy_raises_is_answered_and_the_next_one_starts() -> None:
    go = threading.Event()

    def waits(x: torch.Tensor) -> torch.Tensor:
        go.wait(60)
        return x

    with Executor(engine(), {"m": waits}, {"cpu": Thread()}, policy=Raising(ends=1)) as executor:
        jobs = [executor.submit("m", "q", X) for _ in range(3)]
        go.set()
        for job in jobs:
            assert job.result(60).shape == (1,)


def test_a_job_at_whose_start_the_policy_raises_is_its_submitters_and_keeps_no_slot() -> None:
    with Executor(engine(), {"m": same}, {"cpu": Thread()}, policy=Raising(starts=1)) as executor:
        for _ in range(2):
            assert executor.submit("m", "q", X).result(60).shape == (1,)
        assert executor.drain(60)
        assert executor.stats().resources[0].running == 0


def test_the_timer_outlives_a_policy_that_raises_at_an_expiry() -> None:
    go = threading.Event()
    policy = Raising()
    with Executor(engine(), {"m": lambda x: go.wait(60)}, {"cpu": Thread()}, policy=policy) as executor:
        executor.submit("m", "q", X)
        for _ in range(2):
            policy.ends = 1
            with pytest.raises(JobExpired):
                executor.submit("m", "q", X, deadline_s=0.01).result(60)
        go.set()


def test_a_listener_that_ends_its_thread_leaves_nobody_waiting() -> None:
    def leaves(record: JobRecord) -> None:
        raise SystemExit

    with Executor(engine(), {"m": same}, {"cpu": Thread()}, listeners=[leaves]) as executor:
        for _ in range(2):
            assert executor.submit("m", "q", X).result(60).shape == (1,)


def test_listeners_hear_of_a_job_that_its_caller_cancelled() -> None:
    go, heard = threading.Event(), list[str]()
    with Executor(
        engine(), {"m": lambda x: go.wait(60)}, {"cpu": Thread()}, listeners=[lambda r: heard.append(r.end)]
    ) as executor:
        executor.submit("m", "q", X)
        assert executor.submit("m", "q", X).cancel()
        assert heard == ["cancelled"]
        go.set()


def test_a_job_with_a_time_limit_keeps_its_inputs_no_longer_than_it_runs() -> None:
    """Not even in a cycle, until the collector comes: inputs may be large."""
    with Executor(
        engine(), {"m": lambda x: None}, {"cpu": Thread()}, timeout_s=60.0, progress_s=None
    ) as executor:
        gc.collect()
        gc.disable()
        try:
            inputs = torch.zeros(5)
            alive = weakref.ref(inputs)
            executor.submit("m", "q", inputs).result(60)
            del inputs
            executor.submit("m", "q", X).result(60)  # a slot's thread lets the last job go
            wait_until(lambda: alive() is None)
            assert alive() is None
        finally:
            gc.enable()


@both_kinds
def test_a_worker_that_ends_while_nothing_runs_is_replaced_before_a_job_fails_by_it(
    spec: Thread | Process,
) -> None:
    with Executor(engine(), {"m": "torch.nn:Identity"}, {"cpu": spec}) as executor:
        assert executor.submit("m", "q", X).result(60).shape == (1,)
        executor.workers[0].kill()
        wait_until(lambda: executor._pool.usable() is None)
        assert executor.submit("m", "q", X).result(60).shape == (1,)
        resource = executor.stats().resources[0]
        assert (resource.n_failed, resource.n_deaths) == (0, 0)
