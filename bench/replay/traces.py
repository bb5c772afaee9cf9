"""Recorded traffic and measurements that others published, read from files given by path.

Each reader raises TraceError for a file that is not what it says. Times come as seconds, sizes in tokens.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.replay.rows import Rows, TraceError, opened
from tailwise.adapters.cli.arrivals import TIME_COLUMNS

__all__ = [
    "LoadTest",
    "Predictions",
    "Requests",
    "Trials",
    "found",
    "read_arrivals",
    "read_azure",
    "read_lmbench",
    "read_mooncake",
    "read_splitwise",
    "read_vllm",
]

MOONCAKE_STEP_S = 3.0  # stamps of the published file are 2.997 to 3.003 s apart, or a multiple
MOONCAKE_BLOCK = 512  # tokens of a cached block

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Requests:
    """n requests to language models, (n,) each. arrival_s: rising, from 0. cached_tokens: of the prompt, known from
    earlier requests; None where the file does not tell."""

    arrival_s: Floats
    prompt_tokens: Floats
    output_tokens: Floats
    cached_tokens: Floats | None = None


@dataclass(frozen=True, slots=True)
class Trials:
    """Batches run alone on one machine, (n,) each. cards: that the model was split over; prompt_s: time to read the
    prompts of the batch; token_s: per output token after that; total_s: of all."""

    model: list[str]
    hardware: list[str]
    cards: Floats
    prompt_tokens: Floats
    batch: Floats
    output_tokens: Floats
    prompt_s: Floats
    token_s: Floats
    total_s: Floats


@dataclass(frozen=True, slots=True)
class LoadTest:
    """Requests of a load generator, (n,) each, by stage and launch. launch_s: from the start of the stage;
    first_s: launch to first token; rest_s: from there to the last."""

    workload: list[str]
    rate_per_s: Floats
    launch_s: Floats
    prompt_tokens: Floats
    output_tokens: Floats
    first_s: Floats
    rest_s: Floats


@dataclass(frozen=True, slots=True)
class Predictions:
    """What a server looked like when it was asked to predict, and what came, (n,) each; no times. kv_share: of the
    cache in use; ahead_tokens: prompt tokens being read. Of ttft_s and tpot_s one is NaN: not measured."""

    prompt_tokens: Floats
    running: Floats
    waiting: Floats
    kv_share: Floats
    ahead_tokens: Floats
    ttft_s: Floats
    tpot_s: Floats


def found(path: Path, name: str) -> Path:
    """Where `name` ("folder/file", or a folder) is: in `path`, or in it without its folder; else `path` itself."""
    for inside in (path / name, path / Path(name).name):
        if inside.exists():
            return inside
    return path / name if path.is_dir() and Path(name).suffix else path


def read_arrivals(path: Path) -> Floats:
    """(n,) arrival times of any CSV file with one of `TIME_COLUMNS`, two or more, rising."""
    rows = Rows.read(path, ())
    name = next((name for name in TIME_COLUMNS if name in rows.header), None)
    if name is None:
        raise TraceError(path, 1, f"no column of times; one of {', '.join(TIME_COLUMNS)} is expected")
    return _several(rows, rows.times(name, TIME_COLUMNS[name]))


def read_azure(path: Path) -> Requests:
    """Azure LLM inference trace 2023. No two of its requests have the same time (the least gap is 2 us), so equal
    times are an error."""
    rows = Rows.read(path, ("TIMESTAMP", "ContextTokens", "GeneratedTokens"))
    return Requests(
        _several(rows, rows.times("TIMESTAMP", None)),
        rows.numbers("ContextTokens", above=0.0),
        rows.numbers("GeneratedTokens"),
    )


def read_mooncake(path: Path) -> Requests:
    """Mooncake conversation trace (FAST 2025) with its hashes counted: blocks, and leading ones seen before.

    Its clock ticks every 3 s, so several requests bear one stamp: they are spread evenly over the tick, in the
    order of the file.
    """
    columns = ("timestamp_ms", "input_length", "output_length", "prefix_hit_blocks", "blocks")
    rows = Rows.read(path, columns)
    stamp_s = _several(rows, rows.times("timestamp_ms", 1e-3, equal=True))
    prompt, output, hits, blocks = (
        rows.numbers(name, above=0.0 if name in ("input_length", "blocks") else -math.inf)
        for name in columns[1:]
    )
    if (hits > blocks).any():
        k = int(np.argmax(hits > blocks))
        raise rows.error(k, f"prefix_hit_blocks {hits[k]:g} of {blocks[k]:g} blocks")
    cached = np.minimum(MOONCAKE_BLOCK * hits, prompt)
    return Requests(_spread(stamp_s, MOONCAKE_STEP_S), prompt, output, cached)


def read_splitwise(path: Path) -> Trials:
    """Splitwise (ISCA 2024) performance model: repeated trials. Power-capped rows are left out: they are derived."""
    columns = ("prompt_size", "batch_size", "token_size", "prompt_time", "token_time", "e2e_time")
    rows = Rows.read(path, ("model", "hardware", "tensor_parallel", *columns))
    measured = [k for k, name in enumerate(rows.texts("hardware")) if not name.endswith("cap")]
    if not measured:
        raise TraceError(path, None, "only power-capped rows, which are derived from others")
    rows = rows.keep(measured)
    sizes = {name: rows.numbers(name, above=0.0) for name in ("tensor_parallel", *columns)}
    return Trials(
        rows.texts("model"),
        rows.texts("hardware"),
        sizes["tensor_parallel"],
        sizes["prompt_size"],
        sizes["batch_size"],
        sizes["token_size"],
        *(1e-3 * sizes[name] for name in ("prompt_time", "token_time", "e2e_time")),
    )


def read_lmbench(path: Path) -> LoadTest:
    """LMBench runs of llm-d-benchmark. A stage is a (workload, target_qps), whose rows stand in any order (of their
    ends). Launches are rounded to 1 ms, so a few are equal: the earlier first token comes first."""
    columns = ("target_qps", "launch_s", "ttft_s", "generation_time_s", "prompt_tokens", "generation_tokens")
    rows = Rows.read(path, ("workload", *columns))
    workload = rows.texts("workload")
    rate, launch, first, rest, prompt, output = (
        rows.numbers(name, above=0.0 if name == "target_qps" else -math.inf) for name in columns
    )
    order = sorted(range(len(rows)), key=lambda k: (workload[k], rate[k], launch[k], first[k], rest[k]))
    numbers = (column[order] for column in (rate, launch, prompt, output, first, rest))
    return LoadTest([workload[k] for k in order], *numbers)


def read_vllm(path: Path) -> Predictions:
    """Lines of JSON logged by llm-d's latency predictor: one of actual_ttft_ms, actual_tpot_ms was measured, the
    other is 0."""
    names = (
        "input_token_length",
        "num_request_running",
        "num_request_waiting",
        "kv_cache_percentage",
        "prefill_tokens_in_flight",
        "actual_ttft_ms",
        "actual_tpot_ms",
    )
    found_rows: list[list[float]] = []
    with opened(path), path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                found_rows.append(_json_numbers(path, number, line, names))
    if not found_rows:
        raise TraceError(path, None, "empty")
    *seen, ttft_ms, tpot_ms = np.array(found_rows).T
    milli = (np.where(ms > 0.0, 1e-3 * ms, np.nan) for ms in (ttft_ms, tpot_ms))
    return Predictions(*seen, *milli)


def _json_numbers(path: Path, number: int, line: str, names: tuple[str, ...]) -> list[float]:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise TraceError(path, number, f"not JSON: {error}") from None
    values = [record.get(name) if isinstance(record, dict) else None for name in names]
    for name, value in zip(names, values, strict=True):
        if value is None:
            raise TraceError(path, number, f"{name} is missing")
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise TraceError(path, number, f"{name} {value!r} is not a number")
        if value < 0:
            raise TraceError(path, number, f"{name} {value} is negative")
    if (values[-1] > 0) == (values[-2] > 0):
        raise TraceError(path, number, f"one of {names[-2]} and {names[-1]} is to be above 0")
    return [float(value) for value in values]


def _several(rows: Rows, times_s: Floats) -> Floats:
    """An arrival rate needs two arrivals."""
    if len(times_s) < 2 or times_s[-1] <= times_s[0]:
        raise TraceError(rows.path, None, "two arrivals at different times are the least that a trace needs")
    return times_s


def _spread(stamp_s: Floats, step_s: float) -> Floats:
    """Sorted stamps of a clock that ticks every step_s: those of one tick evenly from it to the next, in order."""
    ticks, first, count = np.unique(stamp_s, return_index=True, return_counts=True)
    width_s = np.minimum(np.diff(ticks, append=ticks[-1] + step_s), step_s)
    place = np.arange(len(stamp_s)) - np.repeat(first, count)
    spread: Floats = stamp_s + place * np.repeat(width_s / count, count)
    return spread
