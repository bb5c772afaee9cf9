"""Three classes on a pool of the device and the CPU, by tailwise and by the field's policies: the same arrivals."""

from __future__ import annotations

import math
import os
import statistics
import time
from concurrent.futures import wait

import numpy as np
import torch

import tailwise as tw
from bench.gpu_check.scene import Row, Scene
from bench.turns import in_turns
from tailwise.adapters.cli.arrivals import gamma_times
from tailwise.adapters.cli.calibrate import measure
from tailwise.adapters.cli.players import OURS, players
from tailwise.adapters.cli.workloads.request import Request
from tailwise.adapters.torch import Executor, Process, Thread, WorkerSpec

__all__ = ["mixed"]

THEIRS = ("round_robin", "least_outstanding")
LOAD, CV = 0.8, 2.0
#: Of jobs: images of one, and how many of a hundred.
KINDS = {"one": (1, 60), "four": (4, 40)}
#: Deadline in mean services, weight, and how many of a hundred.
CLASSES = {"interactive": (4.0, 4.0, 50), "standard": (10.0, 2.0, 30), "batch": (40.0, 1.0, 20)}

#: When it is due, seconds from the begin; its kind and its class.
Arrival = tuple[float, str, str]


def mixed(scene: Scene) -> list[Row]:
    workers = {name: spec.build(name) for name, spec in _specs(scene).items()}
    net = scene.network()
    inputs = {kind: scene.images(n) for kind, (n, _) in KINDS.items()}
    try:
        for worker in workers.values():
            worker.start(dict.fromkeys(KINDS, net))
        requests = {kind: [Request((x,), (), lambda value: True)] for kind, x in inputs.items()}
        mix = [((kind,), float(share)) for kind, (_, share) in KINDS.items()]
        found = measure(list(workers.values()), requests, mix, min(scene.seconds, 3.0))
        qos = [
            tw.QoS(name, services * found.mean_best_s, priority=i, weight=weight)
            for i, (name, (services, weight, _)) in enumerate(CLASSES.items())
        ]

        def new_engine() -> tw.Engine:
            resources = [tw.Resource(name, slots=worker.slots) for name, worker in workers.items()]
            return tw.Engine(resources, [tw.Model(kind) for kind in KINDS], qos, seed=1)

        with Executor(new_engine(), dict.fromkeys(KINDS, net), workers) as ex:
            goodput = _play(scene, ex, new_engine, qos, inputs, LOAD * found.capacity_per_s)
    finally:
        for worker in workers.values():
            worker.close()
    rows = [
        Row("mixed", f"{name}: weighted goodput", 100.0 * statistics.mean(of), "%")
        for name, of in goodput.items()
    ]
    for name in THEIRS:
        ahead = [100.0 * (a - b) for a, b in zip(goodput[OURS], goodput[name], strict=True)]
        rows.append(Row("mixed", f"ahead of {name}", statistics.mean(ahead), "points", "> 0"))
        error = statistics.stdev(ahead) / math.sqrt(len(ahead))
        rows.append(Row("mixed", f"ahead of {name}: standard error", error, "points"))
    return rows


def _specs(scene: Scene) -> dict[str, WorkerSpec]:
    """Without a device a second CPU worker plays the slower one: it may use no instructions beyond SSE4.1."""
    if scene.cuda:
        return {
            "gpu": Thread(scene.device, slots=2),
            "cpu": Process(threads=max(1, (os.cpu_count() or 2) - 2)),
        }
    return {"cpu": Process(), "old cpu": Process(env={"ONEDNN_MAX_CPU_ISA": "SSE41"})}


def _play(
    scene: Scene,
    ex: Executor,
    new_engine: object,
    qos: list[tw.QoS],
    inputs: dict[str, torch.Tensor],
    rate_per_s: float,
) -> dict[str, list[float]]:
    """Weighted goodput of each policy in each round; the policies of a round have the same arrivals, and each learns
    for one round before."""
    policies = players(ex.engine, new_engine, (OURS, *THEIRS), 1)  # type: ignore[arg-type]
    played = dict.fromkeys(policies, 0)

    def block(name: str) -> float:
        arrivals = _arrivals(np.random.default_rng([1, played[name]]), rate_per_s, scene.seconds)
        played[name] += 1
        ex.policy = policies[name]
        return _goodput(ex, arrivals, {q.name: q for q in qos}, inputs)

    return in_turns({name: lambda name=name: block(name) for name in policies}, range(scene.rounds))  # type: ignore[misc]


def _arrivals(rng: np.random.Generator, rate_per_s: float, seconds: float) -> list[Arrival]:
    times = gamma_times(rng, rate_per_s, CV, seconds)
    kinds = rng.choice(list(KINDS), len(times), p=[share / 100.0 for _, share in KINDS.values()])
    classes = rng.choice(list(CLASSES), len(times), p=[share / 100.0 for _, _, share in CLASSES.values()])
    return list(zip(times.tolist(), kinds.tolist(), classes.tolist(), strict=True)) or [
        (0.0, "one", "interactive")
    ]


def _goodput(
    ex: Executor, arrivals: list[Arrival], qos: dict[str, tw.QoS], inputs: dict[str, torch.Tensor]
) -> float:
    """Weight of the jobs that ended in time, counted from when each was due, over the weight of all."""
    began_s = time.monotonic()
    futures = []
    for due_s, kind, name in arrivals:
        pause_s = began_s + due_s - time.monotonic()
        if pause_s > 0:
            time.sleep(pause_s)
        futures.append(ex.submit(kind, name, inputs[kind]))
    wait(futures)
    ex.drain()
    won = 0.0
    for (due_s, _, name), future in zip(arrivals, futures, strict=True):
        record = future.record
        assert record is not None
        completion_s = record.completion_s + record.arrival_s - (began_s + due_s)
        won += qos[name].weight * (record.end == "completed" and completion_s <= qos[name].deadline_s)
    return won / sum(qos[name].weight for _, _, name in arrivals)
