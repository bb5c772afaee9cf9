"""What jobs beside it do to a job, and what becomes of one that does not fit into memory."""

from __future__ import annotations

import math
import statistics
import threading
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import torch

import tailwise as tw
from bench.gpu_check.scene import Row, Scene
from bench.gpu_check.timing import PATIENT, executor
from bench.turns import in_turns
from tailwise.adapters.torch import Executor, JobFuture, JobRecord

__all__ = ["Hungry", "interference", "out_of_memory"]

STREAMS = (1, 2, 4)
#: Rows that a `Hungry` holds at once: a job of more fails, and of joined ones a half does not.
MOST = 3


def interference(scene: Scene) -> list[Row]:
    """1, 2 and 4 callers, each with one job at a time, on as many slots. Predicted: the completion that was expected
    at the decision of a job that started at once; observed: how long it took its slot."""
    slots = max(STREAMS)
    busy = tw.Column("busy", scale=1.0, tracked="running", square=True)
    models = [tw.Model("net", columns=(busy,)), tw.Model("blind")]
    x, net = scene.images(1), scene.network()
    rows = []
    with executor(scene, models, {"net": net, "blind": net}, slots) as ex:
        runs = {
            (model.name, n): lambda n=n, name=model.name: _callers(ex, name, x, n, scene.n_jobs)
            for model in models
            for n in STREAMS
        }
        for _ in range(2):  # to learn from
            for run in runs.values():
                run()
        seen = in_turns(runs, range(scene.rounds))  # type: ignore[arg-type, type-var]
    for n in STREAMS:
        by_model = {m.name: [r for records in seen[m.name, n] for r in records] for m in models}  # type: ignore[index]
        records = by_model["net"]
        predicted, observed = _means_ms(records)
        beside = f"{n} slot{'s' * (n > 1)} busy"
        rows += [
            Row("interference", f"{beside}: observed", observed, "ms"),
            Row("interference", f"{beside}: predicted", predicted, "ms"),
            Row("interference", f"{beside}: median error", _error(records), "%"),
            Row("interference", f"{beside}: the same without the column", _error(by_model["blind"]), "%"),
        ]
    return rows


def _callers(ex: Executor, model: str, x: torch.Tensor, n: int, n_jobs: int) -> list[JobRecord]:
    """Records of jobs that did not wait."""

    begin = threading.Barrier(n)

    def call() -> list[JobRecord]:
        begin.wait()
        records = []
        for _ in range(max(4, n_jobs // n)):
            future = ex.submit(model, PATIENT.name, x)
            future.result()
            assert future.record is not None
            records.append(future.record)
        return records[1:-1]  # before the others began, or after they had ended

    with ThreadPoolExecutor(n) as threads:
        return [record for each in [threads.submit(call) for _ in range(n)] for record in each.result()]


def _means_ms(records: list[JobRecord]) -> tuple[float, float]:
    """(predicted, observed)"""
    expected = [record.expected_s for record in records if record.expected_s is not None]
    return 1e3 * statistics.mean(expected), 1e3 * statistics.mean(r.service_s for r in records)


def _error(records: list[JobRecord]) -> float:
    off = [abs(math.log(r.expected_s / r.service_s)) for r in records if r.expected_s is not None]
    return 100.0 * math.expm1(statistics.median(off))


def out_of_memory(scene: Scene) -> list[Row]:
    """A job too large for the device, the one after it, and joined jobs that are too large together."""
    model = tw.Model("hungry", features=(tw.Feature("rows", typical=2),), items="rows")
    source = Hungry(scene.device)
    with executor(scene, [model], {"hungry": source}, batching={"hungry": tw.Batching(max_items=8)}) as ex:
        jobs = [_end(ex, rows) for rows in (1, MOST + 1, 1)]
        together = [ex.submit("hungry", PATIENT.name, torch.ones(1, 4), features=(1.0,)) for _ in range(12)]
        wait(together)
        (device,) = ex.stats().resources
    survived = jobs[1] is torch.OutOfMemoryError and jobs[0] is jobs[2] is None
    served = sum(_is_right(future) for future in together)
    return [
        Row("out of memory", "the job fails by it, the next one works", float(survived), "", "1"),
        Row("out of memory", "joined jobs served", served / len(together), "", "1"),
        Row("out of memory", "runs that met it", float(device.n_out_of_memory), "", ">= 1"),
    ]


def _end(ex: Executor, rows: int) -> type[BaseException] | None:
    future = ex.submit("hungry", PATIENT.name, torch.ones(rows, 4), features=(float(rows),))
    wait([future])
    error = future.exception()
    return None if error is None else type(error)


def _is_right(future: JobFuture | Future[Any]) -> bool:
    return future.exception() is None and future.result().tolist() == [4.0]


class Hungry(torch.nn.Module):
    """Sums rows; each holds nearly a third of the device's memory meanwhile. Host memory is promised without being
    there, so that on the CPU it says itself what CUDA's allocator would."""

    def __init__(self, device: str) -> None:
        super().__init__()
        self.n_bytes = 0
        if device.startswith("cuda"):
            free, _ = torch.cuda.mem_get_info(device)
            self.n_bytes = int(free * 0.9 / MOST)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.device.type == "cpu":
            if x.shape[0] > MOST:
                raise torch.OutOfMemoryError(f"{x.shape[0]} rows, where {MOST} fit")
            return x.sum(1)
        held = torch.empty(x.shape[0], self.n_bytes, dtype=torch.uint8, device=x.device)
        held[:, 0] = 0
        return x.sum(1) + held[:, 0]
