"""Latencies of vision networks on many devices, as pytorch-image-models publishes them: a folder of CSV files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.replay.rows import Rows, TraceError

__all__ = ["Device", "read_accuracy", "read_timm"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Device:
    """One benchmark-infer-NAME.csv: n networks at a size of input each, (n,).

    step_s: one batch of `batch` images. gmacs, macts: 1e9 multiply-adds and 1e6 activations an image; NaN = the file
    does not tell.
    """

    name: str
    network: list[str]
    side: Floats  #: pixels of an image's side
    batch: Floats
    step_s: Floats
    gmacs: Floats
    macts: Floats

    @property
    def kind(self) -> str:
        """Class of device, as in tw.Resource."""
        return "cpu" if "cpu" in re.split(r"[-_]", self.name) else "gpu"

    def image_s(self) -> dict[tuple[str, int], float]:
        """Seconds an image of each (network, side), in a batch of the recorded size."""
        seconds = self.step_s / self.batch
        return {
            (name, int(side)): float(s)
            for name, side, s in zip(self.network, self.side, seconds, strict=True)
        }


def read_timm(folder: Path) -> list[Device]:
    """Every benchmark-infer-*.csv of a folder, by name. Raises TraceError."""
    paths = sorted(folder.glob("benchmark-infer-*.csv"))
    if not paths:
        raise TraceError(folder, None, "a folder with benchmark-infer-*.csv files is expected")
    return [_device(path) for path in paths]


def read_accuracy(folder: Path) -> dict[tuple[str, int], float]:
    """ImageNet top-1 in [0, 1] by (network, side) from results-imagenet.csv: of its best weights at that size."""
    rows = Rows.read(folder / "results-imagenet.csv", ("model", "img_size", "top1"))
    best: dict[tuple[str, int], float] = {}
    for name, side, top1 in zip(
        rows.texts("model"), rows.numbers("img_size", above=0.0), rows.numbers("top1"), strict=True
    ):
        key = name.split(".")[0], int(side)  # the name of the weights stands after a point
        best[key] = max(best.get(key, 0.0), 0.01 * top1)
    return best


def _device(path: Path) -> Device:
    sizes = ("infer_img_size", "infer_batch_size", "infer_step_time")
    rows = Rows.read(path, ("model", *sizes, "infer_gmacs", "infer_macts"))
    network = rows.texts("model")
    side, batch, step_ms = (rows.numbers(name, above=0.0) for name in sizes)
    seen: dict[tuple[str, float], int] = {}
    for k, key in enumerate(zip(network, side, strict=True)):
        if key in seen:
            raise rows.error(k, f"a duplicate: {key[0]} at {key[1]:g} stands in row {seen[key]}")
        seen[key] = rows.at[k]
    work = (rows.numbers(name, blank=np.nan) for name in ("infer_gmacs", "infer_macts"))
    return Device(path.stem.removeprefix("benchmark-infer-"), network, side, batch, 1e-3 * step_ms, *work)
