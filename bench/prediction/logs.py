"""Logs of single requests to a language model: what was known of each when it started, and how long it took."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

import tailwise as tw
from bench.calibration.foresee import Log, Row
from bench.replay.stages import load_at, on_one_clock
from bench.replay.traces import read_lmbench, read_vllm

__all__ = ["ROOMY", "load_test", "read", "vllm"]

ROOMY = 65536  # jobs at once, never reached: nobody waits, and load shows in the columns
VLLM_S = 600.0  # what a log without times is spread over: five stages of two minutes, says its provenance


def read(path: Path) -> list[Log]:
    """One log a signal: .jsonl is vLLM requests (llm-d), all else a load test (LMBench). Raises TraceError."""
    return list(vllm(path) if path.suffix == ".jsonl" else load_test(path))


def vllm(path: Path) -> Iterator[Log]:
    """Requests without times of their own: spaced evenly, and heard of at once."""
    seen = read_vllm(path)
    resource, model = _streaming(128, busy=4, ahead=512, kv=0.01)
    at_s = VLLM_S * np.arange(len(seen.prompt_tokens)) / len(seen.prompt_tokens)
    for signal, seconds in (("ttft", seen.ttft_s), ("tpot", seen.tpot_s)):
        rows = []
        for k in np.flatnonzero(np.isfinite(seconds)):
            prompt = float(seen.prompt_tokens[k])
            load = {
                "busy": float(seen.running[k] + seen.waiting[k]),
                "ahead": float(seen.ahead_tokens[k]) + prompt,
                "kv": float(seen.kv_share[k]),
            }
            rows.append(Row(float(at_s[k]), float(at_s[k]), float(seconds[k]), (prompt,), reported=load))
        if rows:
            yield Log(f"vllm {path.stem}, {signal}", (resource,), (model,), rows)


def load_test(path: Path) -> Iterator[Log]:
    """Stages of rising load, a minute between them; a signal is heard of when it was there, up to 96 s later."""
    at, first, end, prompt, tokens = on_one_clock(read_lmbench(path))
    busy, ahead = load_at(at, first, end, prompt)
    resource, model = _streaming(512, busy=4, ahead=512)
    pace = (end - first) / np.maximum(tokens - 1.0, 1.0)
    for signal, told, seconds in (("ttft", first, first - at), ("tpot", end, pace)):
        usable = (prompt > 0.0) & (tokens > 1.0) & (seconds > 0.0)
        rows = [
            Row(
                at[k], told[k], float(seconds[k]), (prompt[k],), reported={"busy": busy[k], "ahead": ahead[k]}
            )
            for k in np.flatnonzero(usable)
        ]
        if rows:
            yield Log(f"lmbench {path.stem}, {signal}", (resource,), (model,), rows)


def _streaming(typical_prompt: float, **scales: float) -> tuple[tw.Resource, tw.Model]:
    """A language model behind one endpoint, its load in reported columns."""
    columns = tuple(
        tw.Column(name, scale=scale, reported=True, square=name == "busy") for name, scale in scales.items()
    )
    features = (tw.Feature("prompt", typical=typical_prompt, knee=True),)
    return tw.Resource("r0", max_running=ROOMY), tw.Model("m", features=features, columns=columns)
