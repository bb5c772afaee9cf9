"""Where a model's requests come from, and a fixed tape of them so that every policy is asked the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch

from tailwise.adapters.cli.arrivals import Times
from tailwise.adapters.cli.workload import ModelSpec, Workload, resolve
from tailwise.adapters.cli.workloads.request import Request, Source

__all__ = ["Arrival", "RandomTensors", "source_of", "sources_of", "tape"]


@dataclass(frozen=True, slots=True)
class Arrival:
    """One job of the tape: at_s seconds into its block."""

    at_s: float
    model: str
    qos: str
    request: Request


class RandomTensors:
    """Requests for a model given only by input shapes: standard normal float32; any finite answer is right."""

    def __init__(self, shapes: tuple[tuple[int, ...], ...]) -> None:
        self._shapes = shapes

    def draw(self, rng: np.random.Generator) -> Request:
        tensors = tuple(torch.from_numpy(rng.standard_normal(s, dtype=np.float32)) for s in self._shapes)
        return Request(tensors, (), _all_finite)

    def accuracy(self) -> float | None:
        return None


def sources_of(workload: Workload) -> dict[str, Source]:
    """By what jobs ask for: a model's name or a family's, whose variants share one source. Raises ConfigError, and
    what building one raises."""
    asked: dict[str, Source] = {}
    for spec in workload.models:
        if spec.asked not in asked:
            asked[spec.asked] = source_of(spec)
    return asked


def source_of(spec: ModelSpec) -> Source:
    """Builds a model's source of requests. Raises ConfigError."""
    if spec.requests is None:
        return RandomTensors(spec.inputs)
    return cast(Source, resolve(spec.requests, f"[[model]] {spec.name!r}: requests")())


def tape(
    workload: Workload, sources: dict[str, Source], times_s: Times, rng: np.random.Generator
) -> list[Arrival]:
    """Draws model, class and inputs for each arrival time."""
    shares = np.array([entry.share for entry in workload.mix])
    picks = rng.choice(len(shares), size=len(times_s), p=shares / shares.sum())
    entries = [workload.mix[pick] for pick in picks]
    return [
        Arrival(float(at_s), entry.model, entry.qos, sources[entry.model].draw(rng))
        for at_s, entry in zip(times_s, entries, strict=True)
    ]


def _all_finite(answer: Any) -> bool:
    tensors = answer if isinstance(answer, tuple | list) else [answer]
    return all(isinstance(t, torch.Tensor) and bool(torch.isfinite(t).all()) for t in tensors)
