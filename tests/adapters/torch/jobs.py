"""How the workers' tests run a job and wait for it."""

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from tailwise.adapters.torch import Outcome, Result, Worker


def run(worker: Worker, model: str, *inputs: torch.Tensor) -> Result:
    """One member's result."""
    (result,) = run_batch(worker, model, [inputs]).results
    return result


def run_batch(
    worker: Worker,
    model: str,
    batch: Sequence[tuple[torch.Tensor, ...]],
    on_output: Callable[[Any, int], None] | None = None,
) -> Outcome:
    outcomes: list[Outcome] = []
    finished = threading.Event()

    def done(outcome: Outcome) -> None:
        outcomes.append(outcome)
        finished.set()

    worker.submit(model, batch, done, on_output=on_output)
    assert finished.wait(60)
    return outcomes[0]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline_s
        threading.Event().wait(0.001)


def spelled(path: Path) -> torch.Tensor:
    """A path as the input of the model `Until`."""
    return torch.tensor(list(str(path).encode()), dtype=torch.uint8)
