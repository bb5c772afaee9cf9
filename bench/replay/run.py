"""Plays contests, seed by seed, in this process or in several; the order of the results never depends on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bench.replay.contests import CONTESTS
from bench.replay.summary import Summary, against_oracle
from bench.replay.trial import Trial

__all__ = ["Task", "play"]


@dataclass(frozen=True, slots=True)
class Task:
    """One seed of a contest: what a process is given. The contest goes by its id, since a scenario is code."""

    id: str
    policies: tuple[str, ...]
    seed: int
    trace: Path | None

    def trials(self) -> Iterator[Trial]:
        return CONTESTS[self.id].trials(self.policies, self.seed, self.trace)


def play(tasks: Sequence[Task], n_jobs: int, played: Callable[[str, int], None]) -> list[Summary]:
    """A summary for each id, in the order of the tasks. played(what, n): n more trials are done, and what is next."""
    trials: dict[str, list[Trial]] = {}
    for task, of_task in zip(tasks, _in_order(tasks, n_jobs, played), strict=True):
        trials.setdefault(task.id, []).extend(against_oracle(of_task))
    return [Summary(id, CONTESTS[id].title, of_id) for id, of_id in trials.items()]


def _in_order(
    tasks: Sequence[Task], n_jobs: int, played: Callable[[str, int], None]
) -> Iterator[list[Trial]]:
    if n_jobs == 1:
        for task in tasks:
            of_task = []
            played(f"{task.id}, seed {task.seed}", 0)
            for trial in task.trials():
                of_task.append(trial)
                played(f"{task.id}, seed {task.seed}", 1)
            yield of_task
        return
    with ProcessPoolExecutor(n_jobs) as pool:
        for task, of_task in zip(tasks, pool.map(_all_trials, tasks), strict=True):
            played(f"{task.id}, seed {task.seed}", len(of_task))
            yield of_task


def _all_trials(task: Task) -> list[Trial]:
    return list(task.trials())
