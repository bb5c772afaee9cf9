"""How fast is this machine now? Service times of every (resource, model) under full load, and what they allow."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from tailwise.adapters.cli.workloads.request import Request
from tailwise.adapters.torch import Outcome, Worker

__all__ = ["Calibration", "capacity_per_s", "measure"]


@dataclass(frozen=True, slots=True)
class Calibration:
    """services_s (n_resources, n_models): mean seconds that a job takes its slot, all slots busy."""

    services_s: NDArray[np.float64]
    capacity_per_s: float  #: jobs of the mix that a perfect assignment could serve
    mean_best_s: float  #: mean over the mix of the fastest resource's service


def measure(
    workers: Sequence[Worker],
    requests: Mapping[str, Sequence[Request]],
    mix: Sequence[tuple[tuple[str, ...], float]],
    seconds: float,
) -> Calibration:
    """Keeps every slot busy with the same requests in turn: once through all of them unmeasured (first calls
    compile kernels), then on until `seconds` have passed and all were measured once. Raises what a model raises.

    requests: by model. mix: for each kind of job the models that may run it, of which the fastest on a resource
    counts there, and its share, any scale.
    """
    jobs = [(index, request) for index, of in enumerate(requests.values()) for request in of]
    rng = np.random.default_rng(0)
    names = list(requests)
    totals = np.zeros((len(workers), len(names)))
    counts = np.zeros((len(workers), len(names)))
    errors: list[BaseException] = []
    lock = threading.Lock()
    begin = threading.Barrier(sum(worker.slots for worker in workers))

    def drive(lane: int, order: NDArray[np.int64]) -> None:
        try:
            for k in order:
                _run(workers[lane], names[jobs[k][0]], jobs[k][1])
            begin.wait()
            end_s = time.monotonic() + seconds
            done = 0
            while done < len(order) or time.monotonic() < end_s:
                model, request = jobs[order[done % len(order)]]
                service_s = _run(workers[lane], names[model], request)
                with lock:
                    totals[lane, model] += service_s
                    counts[lane, model] += 1
                done += 1
        except BaseException as error:
            errors.append(error)
            begin.abort()

    threads = [
        threading.Thread(target=drive, args=(lane, rng.permutation(len(jobs))), daemon=True)
        for lane, worker in enumerate(workers)
        for _ in range(worker.slots)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise next((e for e in errors if not isinstance(e, threading.BrokenBarrierError)), errors[0])
    services_s = totals / counts
    fastest_s = [services_s[:, [names.index(name) for name in models]].min(axis=1) for models, _ in mix]
    jobs_s = np.stack(fastest_s, axis=1)
    shares = np.array([share for _, share in mix])
    shares = shares / shares.sum()
    slots = np.array([worker.slots for worker in workers], dtype=float)
    return Calibration(services_s, capacity_per_s(jobs_s, shares, slots), float(shares @ jobs_s.min(axis=0)))


def capacity_per_s(
    services_s: NDArray[np.float64], mix: NDArray[np.float64], slots: NDArray[np.float64]
) -> float:
    """The largest rate that some division of the models over the resources sustains (a linear programme).

    services_s (n_resources, n_models); mix (n_models,) sums to 1; slots (n_resources,). Variables: jobs a second
    of each model on each resource, and the rate; each model's jobs add up to its share of the rate, and no
    resource works more than its slots allow.
    """
    n_resources, n_models = services_s.shape
    objective = np.zeros(n_resources * n_models + 1)
    objective[-1] = -1.0
    share = np.hstack([np.tile(np.eye(n_models), n_resources), -mix[:, None]])
    busy = np.zeros((n_resources, n_resources * n_models + 1))
    for lane in range(n_resources):
        busy[lane, lane * n_models : (lane + 1) * n_models] = services_s[lane]
    solution = linprog(objective, A_ub=busy, b_ub=slots, A_eq=share, b_eq=np.zeros(n_models))
    return float(-solution.fun)


def _run(worker: Worker, model: str, request: Request) -> float:
    """One job, waited for; the seconds it took its slot. Answers are checked in the run: a model may err."""
    finished = threading.Event()
    outcomes: list[Outcome] = []

    def done(outcome: Outcome) -> None:
        outcomes.append(outcome)
        finished.set()

    start_s = time.monotonic()
    worker.submit(model, [request.inputs], done)
    finished.wait()
    service_s = time.monotonic() - start_s
    (result,) = outcomes[0].results
    if result.error is not None:
        raise result.error
    return service_s
