"""Plays contests, seed by seed, in this process or in several; the order of the results never depends on it."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.replay.contests import CONTESTS
from bench.replay.summary import Summary, against_oracle
from bench.replay.trial import Trial

__all__ = ["Task", "play", "processes"]


@dataclass(frozen=True, slots=True)
class Task:
    """One seed of a contest: what a process is given. The contest goes by its id, since a scenario is code."""

    id: str
    policies: tuple[str, ...]
    seed: int
    trace: Path | None

    @property
    def text(self) -> str:
        return f"{self.id}, seed {self.seed}"

    def trials(self) -> Iterator[Trial]:
        return CONTESTS[self.id].trials(self.policies, self.seed, self.trace)


def play(tasks: Sequence[Task], pool: Executor | None, played: Callable[[str, int], None]) -> list[Summary]:
    """A summary for each id, in the order of the tasks. pool: where they are played, None = here.

    played(what, n): n more trials of it are done.
    """
    trials: dict[str, list[Trial]] = {}
    each = _here(tasks, played) if pool is None else pool.map(_all_trials, tasks)
    for task, of_task in zip(tasks, each, strict=True):
        if pool is not None:
            played(task.text, len(of_task))
        trials.setdefault(task.id, []).extend(against_oracle(of_task))
    return [Summary(id, CONTESTS[id].title, of_id) for id, of_id in trials.items()]


@contextmanager
def processes(n: int) -> Iterator[Executor | None]:
    """A pool of n processes; None for one, which needs none. Ctrl-C drops what has not begun."""
    if n == 1:
        yield None
        return
    # a fork would copy locks that the thread of the progress bar holds
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(
        n, context, initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_IGN)
    )
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _here(tasks: Sequence[Task], played: Callable[[str, int], None]) -> Iterator[list[Trial]]:
    for task in tasks:
        of_task = []
        played(task.text, 0)
        for trial in task.trials():
            of_task.append(trial)
            played(task.text, 1)
        yield of_task


def _all_trials(task: Task) -> list[Trial]:
    return list(task.trials())
