"""Latencies to measure on: recorded ones from a folder of logs, drawn ones from a seed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

import tailwise as tw
from bench.calibration.foresee import Log, Row
from bench.replay.stages import load_at, on_one_clock
from bench.replay.timm import read_timm
from bench.replay.traces import read_lmbench, read_splitwise, read_vllm

# Soft capacity, never reached: nobody waits, and load shows in the columns.
ROOMY = 65536

SHAPES = ("lognormal", "outliers", "two modes", "shifted", "drift")


def recorded(folder: Path) -> Iterator[Log]:
    """Every log of service times under the folder (see its README)."""
    yield from _vllm(folder / "vllm_h200/sharegpt-h200.jsonl")
    yield from _lmbench("lmbench, 1 replica", folder / "lmbench/openshift__exp-0__vllm-70b.csv")
    yield from _lmbench("lmbench, 2 replicas", folder / "lmbench/openshift__exp-2__vllm-70b-2replicas.csv")
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


def _streaming(typical_prompt: float, **scales: float) -> tuple[tw.Resource, tw.Model]:
    """A language model behind one endpoint, its load in reported columns."""
    columns = tuple(
        tw.Column(name, scale=scale, reported=True, square=name == "busy") for name, scale in scales.items()
    )
    features = (tw.Feature("prompt", typical=typical_prompt, knee=True),)
    return tw.Resource("r0", max_running=ROOMY), tw.Model("m", features=features, columns=columns)


def _vllm(path: Path) -> Iterator[Log]:
    """Requests of 600 s without times of their own: spaced evenly, and heard of at once."""
    seen = read_vllm(path)
    resource, model = _streaming(128, busy=4, ahead=512, kv=0.01)
    n = len(seen.prompt_tokens)
    for signal, seconds in (("ttft", seen.ttft_s), ("tpot", seen.tpot_s)):
        rows = []
        for k in np.flatnonzero(np.isfinite(seconds)):
            at_s, prompt = 600.0 * k / n, float(seen.prompt_tokens[k])
            load = {
                "busy": float(seen.running[k] + seen.waiting[k]),
                "ahead": float(seen.ahead_tokens[k]) + prompt,
                "kv": float(seen.kv_share[k]),
            }
            rows.append(Row(at_s, at_s, float(seconds[k]), (prompt,), reported=load))
        yield Log(f"vllm_h200, {signal}", (resource,), (model,), rows)


def _lmbench(name: str, path: Path) -> Iterator[Log]:
    """Stages of rising load, a minute between them; a signal is heard of when it was there, up to 40 s later."""
    at, first, end, prompt, tokens = on_one_clock(read_lmbench(path))
    busy, ahead = load_at(at, first, end, prompt)
    resource, model = _streaming(512, busy=4, ahead=512)
    for signal in ("ttft", "tpot"):
        told, seconds = (
            (first, first - at) if signal == "ttft" else (end, (end - first) / np.maximum(tokens - 1.0, 1.0))
        )
        rows = [
            Row(
                at[k], told[k], float(seconds[k]), (prompt[k],), reported={"busy": busy[k], "ahead": ahead[k]}
            )
            for k in range(len(at))
            if prompt[k] > 0 and tokens[k] > 1 and seconds[k] > 0
        ]
        yield Log(f"{name}, {signal}", (resource,), (model,), rows)


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
