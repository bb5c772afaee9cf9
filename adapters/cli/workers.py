"""The workers of a workload on this machine's cores and devices."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence

import torch

from tailwise.adapters.cli.workload import ResourceSpec, Workload
from tailwise.adapters.torch import Process, Thread, Worker, WorkerSpec
from tailwise.errors import ConfigError

__all__ = ["started_workers"]


@contextlib.contextmanager
def started_workers(workload: Workload, say: Callable[[str], None]) -> Iterator[dict[str, Worker]]:
    """Starts a workload's workers, by resource name, with its models; closes them at the end. Raises ConfigError,
    WorkerError. say: takes a line about what is done."""
    specs = _expand(workload.resources)
    models = {spec.name: workload.model_path(spec) for spec in workload.models}
    say(f"starting {len(specs)} workers")
    workers = {name: spec.build(name) for name, spec in specs.items()}
    try:
        for worker in workers.values():
            worker.start(models)
        yield workers
    finally:
        for worker in workers.values():
            worker.close()


def _expand(resources: Sequence[ResourceSpec]) -> dict[str, WorkerSpec]:
    """Worker specifications by resource name, for this machine's cores and devices."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    specs: dict[str, WorkerSpec] = {}
    for resource in resources:
        if not resource.here():
            continue
        devices = [resource.device]
        if resource.device == "cuda:*":
            devices = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
        elif resource.share_of_cores is not None:
            devices *= max(1, int(cores * resource.share_of_cores / resource.threads))
        else:
            devices *= resource.count or 1
        for i, device in enumerate(devices):
            name = resource.name if len(devices) == 1 else f"{resource.name}-{i}"
            if resource.worker == "thread":
                specs[name] = Thread(device=device, slots=resource.slots)
            else:
                specs[name] = Process(
                    device=device, slots=resource.slots, threads=resource.threads, env=resource.env
                )
    if not specs:
        raise ConfigError("no [[resource]] of the workload exists on this machine")
    return specs
