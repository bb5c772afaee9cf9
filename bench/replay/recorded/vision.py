"""Two image networks in two sizes each on six devices, by the latencies and accuracies that timm measured.

    service_s = (LAUNCH_S on a GPU + images x seconds an image) x noise

Arrivals, batch sizes and noise are drawn: the files have none. A GPU's seconds an image are of its recorded large
batches, a CPU's of single images. A world says which model a job runs, so each variant is played as a model of its
own: what is compared is the choice of the device, not of the variant.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

import tailwise as tw
from bench.replay.arrivals import draw_arrivals
from bench.replay.recorded.pace import service_noise, troubles, well_rate
from bench.replay.rows import TraceError
from bench.replay.timm import Device, read_accuracy, read_timm
from bench.replay.world import World

__all__ = ["Vision", "draw_vision"]

_DEVICES = (
    "rtx3090",
    "4090",
    "5090",
    "pro6000maxq",
    "i7_12700h-dynamo",
    "i9_10940x-dynamo",
)  # ends of the names
# family, network, side: the smaller variant of each family first
_VARIANTS = (
    ("efficientnet", "efficientnet_b0", 224),
    ("efficientnet", "efficientnet_b4", 320),
    ("vit", "vit_small_patch16_224", 224),
    ("vit", "vit_large_patch16_224", 224),
)
_SMALL, _LARGE = (0, 2), (1, 3)
CLASSES = (
    tw.QoS("interactive", 0.1, on_time=0.95, priority=0),
    tw.QoS("standard", 0.5, on_time=0.9, priority=1),
    tw.QoS("batch", 3.0, on_time=0.8, priority=2, min_accuracy=0.82),
)
_CLASS_SHARES = (0.5, 0.3, 0.2)
# By class: which variants, by chance, and images, inclusive. Who waits gets an answer fast, from a small network.
_RUNS = (_SMALL, (*_SMALL, *_LARGE), _LARGE)
_IMAGES = ((1, 4), (4, 32), (32, 128))
LAUNCH_S = (
    0.003  # what a GPU takes for a batch of any size: input copied, kernels launched; the files do not tell
)
_SIGMA = 0.15


@dataclass(frozen=True, slots=True)
class Vision:
    """load: of the capacity of the well fleet."""

    load: float
    events: bool = False
    duration_s: float = 60.0


def draw_vision(vision: Vision, folder: Path, seed: int) -> World:
    """The devices of a folder of timm results under drawn traffic."""
    when, jobs, noise, trouble = (np.random.default_rng([seed, i]) for i in range(4))
    devices = [_named(folder, read_timm(folder), end) for end in _DEVICES]
    best = read_accuracy(folder)
    image_s = np.array([[_of(folder, d, *network) for d in devices] for _, *network in _VARIANTS])
    launch_s = np.array([LAUNCH_S if device.kind == "gpu" else 0.0 for device in devices])
    slots, interference = np.ones(len(devices), dtype=np.int64), np.zeros(len(devices))

    def draw_jobs(n: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        qos = rng.choice(len(CLASSES), n, p=_CLASS_SHARES)
        model = np.array([_RUNS[c][int(u * len(_RUNS[c]))] for c, u in zip(qos, rng.random(n), strict=True)])
        low, high = np.array(_IMAGES)[qos].T
        return qos, model, rng.integers(low, high + 1).astype(np.float64)

    _, model, images = draw_jobs(50_000, np.random.default_rng([seed, 4]))
    rate = vision.load * well_rate(launch_s + images[:, None] * image_s[model], slots, interference)
    arrival_s = draw_arrivals("poisson", rate, vision.duration_s, when)
    qos, model, images = draw_jobs(len(arrival_s), jobs)
    mean_s = launch_s + images[:, None] * image_s[model]
    return World(
        classes=CLASSES,
        models=tuple(
            tw.Model(
                name,
                features=(tw.Feature("images", typical=8, knee=True),),
                variant_of=family,
                accuracy=best[name, side],
            )
            for family, name, side in _VARIANTS
        ),
        resources=tuple(tw.Resource(d.name, kind=d.kind) for d in devices),
        arrival_s=arrival_s,
        qos=qos,
        model=model,
        x=images[:, None],
        service_s=mean_s * service_noise(_SIGMA, mean_s.shape, noise),
        mean_s=mean_s,
        interference=interference,
        events=troubles(len(devices), vision.duration_s, trouble) if vision.events else (),
    )


def _named(folder: Path, devices: list[Device], end: str) -> Device:
    """The last one in order of name whose name ends so: of two software stacks the newer."""
    named = [device for device in devices if device.name.endswith(end)]
    if not named:
        raise TraceError(folder, None, f"no file benchmark-infer-*{end}.csv")
    return named[-1]


def _of(folder: Path, device: Device, network: str, side: int) -> float:
    seconds = device.image_s().get((network, side))
    if seconds is None:
        raise TraceError(folder, None, f"no row {network} at {side} of {device.name}")
    return seconds
