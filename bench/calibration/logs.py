"""Latencies to measure on: recorded ones from a folder of logs, drawn ones from a seed."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import tailwise as tw
from bench.calibration.foresee import Log, Row

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
    with path.open() as lines:
        records = [json.loads(line) for line in lines]
    resource, model = _streaming(128, busy=4, ahead=512, kv=0.01)
    for signal in ("ttft", "tpot"):
        rows = []
        for k, r in enumerate(records):
            at_s, milliseconds = 600.0 * k / len(records), float(r[f"actual_{signal}_ms"])
            prompt = float(r["input_token_length"])
            load = {
                "busy": float(r["num_request_running"] + r["num_request_waiting"]),
                "ahead": float(r["prefill_tokens_in_flight"]) + prompt,
                "kv": float(r["kv_cache_percentage"]),
            }
            if milliseconds > 0.0:  # each record has one of the two
                rows.append(Row(at_s, at_s, 1e-3 * milliseconds, (prompt,), reported=load))
        yield Log(f"vllm_h200, {signal}", (resource,), (model,), rows)


def _lmbench(name: str, path: Path) -> Iterator[Log]:
    """Stages of rising load, a minute between them; a signal is heard of when it was there, up to 40 s later."""
    with path.open() as lines:
        records = sorted(csv.DictReader(lines), key=lambda r: (r["workload"], float(r["target_qps"])))
    jobs: list[tuple[float, float, float, float, float]] = []  # start, first token, end, prompt, tokens
    stage, start_s = None, 0.0
    for r in records:
        if stage != (r["workload"], r["target_qps"]) and jobs:
            start_s = max(end_s for _, _, end_s, _, _ in jobs) + 60.0
        stage = r["workload"], r["target_qps"]
        at_s = start_s + float(r["launch_s"])
        first_s = at_s + float(r["ttft_s"])
        end_s = first_s + float(r["generation_time_s"])
        jobs.append((at_s, first_s, end_s, float(r["prompt_tokens"]), float(r["generation_tokens"])))
    jobs.sort()
    at, first, end, prompt, tokens = np.array(jobs).T
    by_first = np.argsort(first, kind="stable")
    sent = np.concatenate([[0.0], np.cumsum(prompt)])
    read = np.concatenate([[0.0], np.cumsum(prompt[by_first])])
    begun = np.searchsorted(at, at, "left")
    busy = begun - np.searchsorted(np.sort(end), at, "right")
    ahead = sent[begun] - read[np.searchsorted(first[by_first], at, "right")] + prompt
    resource, model = _streaming(512, busy=4, ahead=512)
    for signal in ("ttft", "tpot"):
        told, seconds = (
            (first, first - at) if signal == "ttft" else (end, (end - first) / np.maximum(tokens - 1.0, 1.0))
        )
        rows = [
            Row(
                at[k],
                told[k],
                float(seconds[k]),
                (prompt[k],),
                reported={"busy": max(busy[k], 0.0), "ahead": max(ahead[k], 0.0)},
            )
            for k in range(len(jobs))
            if prompt[k] > 0 and tokens[k] > 1 and seconds[k] > 0
        ]
        yield Log(f"{name}, {signal}", (resource,), (model,), rows)


def _splitwise(path: Path) -> Iterator[Log]:
    """Repeated trials in shuffled order, one a second; rows without a power cap."""
    with path.open() as lines:
        records = [r for r in csv.DictReader(lines) if not r["hardware"].endswith("cap")]
    records = [records[i] for i in np.random.default_rng(0).permutation(len(records))]
    hardware, networks = ({r[column] for r in records} for column in ("hardware", "model"))
    resources = tuple(tw.Resource(name, max_running=ROOMY, kind="gpu") for name in sorted(hardware))
    features = (tw.Feature("prompt", typical=512, knee=True), tw.Feature("batch", typical=4, knee=True))
    models = tuple(tw.Model(name, features=features) for name in sorted(networks))
    for signal, column in (("ttft", "prompt_time"), ("tpot", "token_time")):
        rows = [
            Row(
                float(k),
                float(k),
                1e-3 * float(r[column]),
                (float(r["prompt_size"]), float(r["batch_size"])),
                r["hardware"],
                r["model"],
            )
            for k, r in enumerate(records)
            if float(r[column]) > 0
        ]
        yield Log(f"splitwise, {signal}", resources, models, rows)


def _timm(folder: Path) -> Log:
    """A network is an input of one model (operations, activations), a device a resource; shuffled, 10 a second."""
    found: list[tuple[float, tuple[float, ...], str]] = []
    resources = []
    for path in sorted(folder.glob("benchmark-infer-*.csv")):
        name = path.stem.removeprefix("benchmark-infer-")
        resources.append(tw.Resource(name, max_running=ROOMY, kind="cpu" if "cpu" in name else "gpu"))
        with path.open() as lines:
            for r in csv.DictReader(lines):
                x = tuple(float(r[column] or 0.0) for column in ("infer_gmacs", "infer_macts"))
                if min(x) > 0.0:
                    found.append((1e-3 * float(r["infer_step_time"]) / float(r["infer_batch_size"]), x, name))
    order = np.random.default_rng(0).permutation(len(found))
    rows = [Row(0.1 * k, 0.1 * k, *found[i]) for k, i in enumerate(order)]
    features = (tw.Feature("gmacs", typical=4.0, knee=True), tw.Feature("macts", typical=12.0, knee=True))
    return Log("timm", tuple(resources), (tw.Model("m", features=features),), rows)
