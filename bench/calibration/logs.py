"""Latencies to measure on: recorded ones from a folder of logs, drawn ones from a seed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

import tailwise as tw
from bench.calibration.foresee import Log, Row
from bench.prediction.logs import ROOMY, load_test, vllm
from bench.replay.timm import read_timm
from bench.replay.traces import read_splitwise

SHAPES = ("lognormal", "outliers", "two modes", "shifted", "drift")


def recorded(folder: Path) -> Iterator[Log]:
    """Every log of service times under the folder (see its README)."""
    yield from vllm(folder / "vllm_h200/sharegpt-h200.jsonl")
    yield from load_test(folder / "lmbench/openshift__exp-0__vllm-70b.csv")
    yield from load_test(folder / "lmbench/openshift__exp-2__vllm-70b-2replicas.csv")
    yield from _splitwise(folder / "splitwise/perf_model.csv")
    yield _timm(folder / "timm")


def drawn(shape: str, seed: int, n: int = 4000) -> Log:
    """n jobs on four resources in turn, 20 a second, ln(seconds) with a spread of .25 about .02 x batch^.8 / speed.

    outliers: 1 in 100 takes ten times as long. two modes: half of the jobs, by a coin, take five times as long (a
    cache that missed), spread .1. shifted: .6 of it is fixed, the rest exponential. drift: each resource in turn is
    twice as slow for a tenth of the run, and well again.
    """
    rng = np.random.default_rng([seed, SHAPES.index(shape)])
    batch, lane = rng.integers(1, 33, n), np.arange(n) % 4
    noise = 0.25 * rng.standard_normal(n)
    if shape == "outliers":
        noise += np.log(10.0) * (rng.random(n) < 0.01)
    elif shape == "two modes":
        noise = 0.4 * noise + np.log(5.0) * (rng.random(n) < 0.5)
    elif shape == "shifted":
        noise = np.log(0.6 + 0.4 * rng.exponential(size=n))
    elif shape == "drift":
        tenth = np.arange(n) // (n // 10)
        noise += np.log(2.0) * ((tenth % 2 == 1) & (tenth // 2 == lane))
    seconds = 0.02 * batch**0.8 / (1.0 + 0.3 * lane) * np.exp(noise)
    rows = [Row(0.05 * k, 0.05 * k, float(seconds[k]), (float(batch[k]),), f"r{lane[k]}") for k in range(n)]
    model = tw.Model("m", features=(tw.Feature("batch", typical=8, knee=True),))
    return Log(shape, tuple(tw.Resource(f"r{i}", max_running=ROOMY) for i in range(4)), (model,), rows)


def _splitwise(path: Path) -> Iterator[Log]:
    """Repeated trials in shuffled order, one a second; rows without a power cap."""
    trials = read_splitwise(path)
    order = np.random.default_rng(0).permutation(len(trials.model))
    resources = tuple(
        tw.Resource(name, max_running=ROOMY, kind="gpu") for name in sorted(set(trials.hardware))
    )
    features = (tw.Feature("prompt", typical=512, knee=True), tw.Feature("batch", typical=4, knee=True))
    models = tuple(tw.Model(name, features=features) for name in sorted(set(trials.model)))
    for signal, seconds in (("ttft", trials.prompt_s), ("tpot", trials.token_s)):
        rows = [
            Row(
                float(k),
                float(k),
                float(seconds[i]),
                (float(trials.prompt_tokens[i]), float(trials.batch[i])),
                trials.hardware[i],
                trials.model[i],
            )
            for k, i in enumerate(order)
        ]
        yield Log(f"splitwise, {signal}", resources, models, rows)


def _timm(folder: Path) -> Log:
    """A network is an input of one model (operations, activations), a device a resource; shuffled, 10 a second."""
    devices = read_timm(folder)
    found = [
        (float(seconds), (float(gmacs), float(macts)), device.name)
        for device in devices
        for seconds, gmacs, macts in zip(
            device.step_s / device.batch, device.gmacs, device.macts, strict=True
        )
        if gmacs > 0.0 and macts > 0.0
    ]
    order = np.random.default_rng(0).permutation(len(found))
    rows = [Row(0.1 * k, 0.1 * k, *found[i]) for k, i in enumerate(order)]
    resources = tuple(tw.Resource(d.name, max_running=ROOMY, kind=d.kind) for d in devices)
    features = (tw.Feature("gmacs", typical=4.0, knee=True), tw.Feature("macts", typical=12.0, knee=True))
    return Log("timm", resources, (tw.Model("m", features=features),), rows)
