"""The JSON of a run of `python -m bench.replay`: what bench.compare reads."""

from __future__ import annotations

import math
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numba
import numpy as np

import tailwise
from bench.replay.summary import Summary

__all__ = ["FORMAT", "VERSION", "machine", "record"]

FORMAT, VERSION = "tailwise bench.replay", 1


def machine() -> dict[str, str | int | None]:
    """What the figures in seconds of this machine (wall_s) depend on; the others do not."""
    return {
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numba": numba.__version__,
        "tailwise": tailwise.__version__,
    }


def record(summaries: Sequence[Summary], arguments: Sequence[str]) -> dict[str, Any]:
    """Plain data. Figures that do not exist are left out; `mean` and `error` are over the seeds on which they do."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "command": ["python", "-m", "bench.replay", *arguments],
        "machine": machine(),
        "scenarios": [_scenario(summary) for summary in summaries],
    }


def _scenario(summary: Summary) -> dict[str, Any]:
    return {
        "id": summary.id,
        "title": summary.title,
        "seeds": list(summary.seeds),
        "summary": {
            policy: {
                name: {"mean": e.mean, "error": None if math.isnan(e.error) else e.error}
                for name in dict.fromkeys(name for t in summary.of(policy) for name in t.figures)
                if not math.isnan((e := summary.figure(policy, name)).mean)
            }
            for policy in summary.policies
        },
        "trials": [
            {
                "policy": trial.policy,
                "seed": trial.seed,
                "wall_s": trial.wall_s,
                "world": trial.world,
                "figures": _existing(trial.figures),
                "classes": {name: _existing(figures) for name, figures in trial.classes.items()},
            }
            for trial in summary.trials
        ],
    }


def _existing(figures: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in figures.items() if math.isfinite(value)}


def _processor() -> str:
    """The processor's own name where the system tells it."""
    if sys.platform == "linux":
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    return platform.processor()
