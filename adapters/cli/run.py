"""The run: the same arrivals through every policy, in blocks of a few seconds in rotated order."""

from __future__ import annotations

import math
import os
import platform
import time
from collections.abc import Sequence
from concurrent.futures import wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tailwise.adapters.cli.arrivals import Times, gamma_times, read_trace, trace_times
from tailwise.adapters.cli.calibrate import Calibration, measure
from tailwise.adapters.cli.live import Display
from tailwise.adapters.cli.players import OURS, POLICIES, players
from tailwise.adapters.cli.results import Block, RunResult, Sighting
from tailwise.adapters.cli.sources import Arrival, sources_of, tape
from tailwise.adapters.cli.variants import accuracies, allowed, fixed_choice, prepared
from tailwise.adapters.cli.workers import started_workers
from tailwise.adapters.cli.workload import Workload
from tailwise.adapters.cli.workloads.measured import Measured
from tailwise.adapters.cli.workloads.request import Request, Source
from tailwise.adapters.torch import Executor, JobFuture, JobRecord, Worker
from tailwise.engine import Engine
from tailwise.policy import Policy
from tailwise.types import Resource

__all__ = ["POLICIES", "run"]

#: Requests of each model that calibration repeats; a recalibration takes a second.
_N_CALIBRATION = 12
_CALIBRATION_S = 3.0
_RECALIBRATION_S = 1.0
_SIGHTING_S = 0.25


def run(
    workload: Workload,
    *,
    seconds: float,
    seed: int,
    trace: Path | None,
    display: Display,
    policies: Sequence[str] = POLICIES,
) -> RunResult:
    """Plays `seconds` of arrivals through each policy. Ctrl-C ends it cleanly with what was measured so far.

    policies: names, see `players`. Raises ConfigError, UnknownName, and what preparing or loading a model raises.
    """
    times = None if trace is None else read_trace(trace)
    measured = prepared(workload, display.status)
    accuracy = accuracies(workload, measured)
    may = allowed(workload, accuracy)
    sources = sources_of(workload)
    with started_workers(workload, display.status) as workers:
        rng = np.random.default_rng([seed, 0])
        drawn = {name: [source.draw(rng) for _ in range(_N_CALIBRATION)] for name, source in sources.items()}
        requests = {spec.name: drawn[spec.asked] for spec in workload.models}
        mix = [(may[entry.model, entry.qos], entry.share) for entry in workload.mix]
        display.status("calibrating")
        first = measure(list(workers.values()), requests, mix, _CALIBRATION_S)
        models = _models(workload, workers, accuracy, measured, first)
        result = _new_result(workload, workers, models, first, seconds, seed)

        def new_engine() -> Engine:
            resources = [Resource(name, slots=worker.slots) for name, worker in workers.items()]
            declared = [spec.declare(accuracy.get(spec.name)) for spec in workload.models]
            return Engine(resources, declared, result.qos, seed=seed)

        engine = new_engine()
        sources_by_path = {spec.name: workload.model_path(spec) for spec in workload.models}
        with Executor(engine, sources_by_path, workers, batching=workload.batching()) as executor:
            playing = players(
                engine, new_engine, policies, seed, fixed_choice(workload, may, accuracy, first)
            )
            session = _Session(workload, executor, sources, times, result, display, playing)
            try:
                session.play(requests, mix, first)
            except KeyboardInterrupt:
                result.interrupted = True
                executor.cancel_queued()
    return result


@dataclass(slots=True)
class _Session:
    """What the blocks of one run share."""

    workload: Workload
    executor: Executor
    sources: dict[str, Source]
    trace: Times | None
    result: RunResult
    display: Display
    policies: dict[str, Policy]

    def play(
        self,
        requests: dict[str, list[Request]],
        mix: list[tuple[tuple[str, ...], float]],
        calibration: Calibration,
    ) -> None:
        n_rounds = max(1, math.ceil(self.result.seconds / self.workload.arrivals.block_s - 1e-9))
        names = list(self.policies)
        self.display.begin(self.result, n_rounds * len(names))
        for round_ in range(n_rounds):
            if round_ > 0:
                self.display.status("measuring the machine again")
                workers = list(self.executor.workers)
                calibration = measure(workers, requests, mix, _RECALIBRATION_S)
            rate_per_s = self.workload.arrivals.load * calibration.capacity_per_s
            arrivals = self._tape(round_, rate_per_s)
            turn = round_ % len(names)
            for name in names[turn:] + names[:turn]:
                self.display.status(f"round {round_ + 1} of {n_rounds}: {name}")
                self.result.blocks.append(self._block(round_, name, arrivals, rate_per_s))
                self.display.advance(self.result)

    def _tape(self, round_: int, rate_per_s: float) -> list[Arrival]:
        rng = np.random.default_rng([self.result.seed, 1 + round_])
        arrivals = self.workload.arrivals
        if self.trace is None:
            times_s = gamma_times(rng, rate_per_s, arrivals.cv, arrivals.block_s)
        else:
            times_s = trace_times(rng, self.trace, rate_per_s, arrivals.block_s)
        return tape(self.workload, self.sources, times_s, rng)

    def _block(self, round_: int, name: str, arrivals: list[Arrival], rate_per_s: float) -> Block:
        """Submits every arrival at its time, waits for the last end, then checks the answers."""
        self.executor.policy = self.policies[name]
        played_s = sum(block.seconds for block in self.result.of(name))
        deadlines_s = {q.name: q.deadline_s for q in self.result.qos}
        futures: list[JobFuture] = []
        began_s = time.monotonic()
        sighted_s = -math.inf
        for arrival in arrivals:
            if name == OURS and arrival.at_s - sighted_s >= _SIGHTING_S:
                sighted_s = arrival.at_s
                self._sight(played_s + arrival.at_s)
            pause_s = began_s + arrival.at_s - time.monotonic()
            if pause_s > 0:
                time.sleep(pause_s)
            request = arrival.request
            futures.append(
                self.executor.submit(arrival.model, arrival.qos, request.inputs, features=request.features)
            )
        wait(futures)
        self.executor.drain()  # what lost to its copy runs on, and ends with the policy that sent it
        wrong, lag_s = 0, 0.0
        records = []
        for arrival, future in zip(arrivals, futures, strict=True):
            assert future.record is not None
            record = _from_schedule(future.record, began_s + arrival.at_s, deadlines_s[arrival.qos])
            lag_s = max(lag_s, record.completion_s - future.record.completion_s)
            if record.end == "completed" and not arrival.request.check(future.result()):
                wrong += 1
                record = record._replace(end="failed", on_time=False)
            records.append(record)
        return Block(
            round=round_,
            policy=name,
            start_s=played_s,
            seconds=self.workload.arrivals.block_s,
            began_s=began_s,
            rate_per_s=rate_per_s,
            records=tuple(records),
            wrong=wrong,
            lag_s=lag_s,
        )

    def _sight(self, at_s: float) -> None:
        engine = self.executor.engine
        for resource in engine.resources:
            for model in engine.models:
                profile = engine.profile(resource.name, model.name)
                self.result.sightings.append(
                    Sighting(
                        at_s=at_s,
                        resource=resource.name,
                        model=model.name,
                        n=profile.n,
                        low_s=profile.quantile(0.05),
                        median_s=profile.median_s,
                        high_s=profile.quantile(0.95),
                    )
                )


def _from_schedule(record: JobRecord, due_s: float, deadline_s: float) -> JobRecord:
    """Counts a job from when it was due, not from when a busy submitter got to it: an open loop waits for nobody."""
    late_s = record.arrival_s - due_s
    completion_s = record.completion_s + late_s
    on_time = record.end == "completed" and completion_s <= deadline_s
    return record._replace(
        arrival_s=due_s, queue_s=record.queue_s + late_s, completion_s=completion_s, on_time=on_time
    )


def _models(
    workload: Workload,
    workers: dict[str, Worker],
    accuracy: dict[str, float],
    measured: dict[str, Measured],
    calibration: Calibration,
) -> list[dict[str, Any]]:
    """What the result tells of each model."""
    return [
        {
            "name": spec.name,
            "variant_of": spec.variant_of,
            "accuracy": accuracy.get(spec.name),
            "given": spec.accuracy is not None,
            "measured": measured[spec.name].value if spec.name in measured else None,
            "measured_of": measured[spec.name].of if spec.name in measured else None,
            "services_s": {name: float(calibration.services_s[lane, m]) for lane, name in enumerate(workers)},
        }
        for m, spec in enumerate(workload.models)
    ]


def _new_result(
    workload: Workload,
    workers: dict[str, Worker],
    models: list[dict[str, Any]],
    calibration: Calibration,
    seconds: float,
    seed: int,
) -> RunResult:
    return RunResult(
        machine={
            "machine": platform.machine(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "capability": torch.backends.cpu.get_cpu_capability(),
        },
        seed=seed,
        seconds=seconds,
        load=workload.arrivals.load,
        qos=tuple(q.resolve(calibration.mean_best_s) for q in workload.qos),
        resources=[{"name": name, "slots": worker.slots} for name, worker in workers.items()],
        models=models,
    )
