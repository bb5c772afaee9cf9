"""What a worker costs over calling the model directly: `python -m bench.workers [ROUNDS]`.

The model doubles its input, so that as many bytes come back as went in. Rounds are interleaved: each measures every
row in turn, and printed is the median over rounds of their medians, in microseconds. memcpy copies the same bytes, in
and out, between buffers that exist. over: the worker's time less the direct call's.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from statistics import median

import torch

from tailwise.adapters.torch import Outcome, Process, Thread, Worker

__all__ = ["Double", "main"]

SIZES = {"1x64": (1, 64), "1 MB": (256, 1024), "16 MB": (4096, 1024)}


class Double(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2


def through(worker: Worker, x: torch.Tensor) -> Callable[[], None]:
    """One job, waited for."""
    over = threading.Semaphore(0)
    batch = [(x,)]

    def done(outcome: Outcome) -> None:
        over.release()

    def job() -> None:
        worker.submit("double", batch, done)
        over.acquire()

    return job


def copied(x: torch.Tensor) -> Callable[[], None]:
    there, back = torch.zeros_like(x), torch.zeros_like(x)

    def copy() -> None:
        there.copy_(x)
        back.copy_(there)

    return copy


def direct(x: torch.Tensor) -> Callable[[], None]:
    model = Double().eval()

    def call() -> None:
        with torch.inference_mode():
            model(x)

    return call


def timed(call: Callable[[], None], n: int) -> float:
    """Median of n calls, microseconds."""
    times = []
    for _ in range(n):
        begin_ns = time.perf_counter_ns()
        call()
        times.append(time.perf_counter_ns() - begin_ns)
    return median(times) / 1e3


def main(rounds: int) -> None:
    torch.set_num_threads(1)
    thread, process = Thread().build("thread"), Process().build("process")
    for worker in (thread, process):
        worker.start({"double": "bench.workers:Double"})
    print(f"{'input':>6} {'direct':>9} {'thread':>9} {'over':>7} {'process':>9} {'over':>8} {'memcpy':>9}")
    try:
        for name, shape in SIZES.items():
            x = torch.rand(shape)
            rows = [direct(x), through(thread, x), through(process, x), copied(x)]
            n = max(5, min(200, 4_000_000 // x.numel()))
            for row in rows:
                timed(row, n)
            times = [[timed(row, n) for row in rows] for _ in range(rounds)]
            call, here, there, memcpy = map(median, zip(*times, strict=True))
            cells = f"{name:>6} {call:9.1f} {here:9.1f} {here - call:7.1f} {there:9.1f} {there - call:8.1f}"
            print(f"{cells} {memcpy:9.1f}", flush=True)
    finally:
        thread.close()
        process.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
