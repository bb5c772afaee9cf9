"""The executor on a CUDA device, one table, under five minutes: `python -m bench.gpu_check [--quick] [--json F]`.

Whatever is compared takes turns. Without a device the same runs on the CPU and says so. --quick: seconds, a tiny
network, to see that everything runs. --only: some of the checks.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch

from bench.gpu_check.load import interference, out_of_memory
from bench.gpu_check.policies import mixed
from bench.gpu_check.scene import Row, Scene, scene_of
from bench.gpu_check.timing import batching, events, overhead
from bench.table import show

CHECKS: dict[str, Callable[[Scene], list[Row]]] = {
    "timing": events,
    "overhead": overhead,
    "batching": batching,
    "interference": interference,
    "mixed": mixed,
    "memory": out_of_memory,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default=",".join(CHECKS), help="names of checks, by commas")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    names = arguments.only.split(",")
    if unknown := [name for name in names if name not in CHECKS]:
        parser.error(f"no check {unknown[0]!r}; there are {', '.join(CHECKS)}")
    torch.set_num_threads(1)
    scene, began_s = scene_of(arguments.quick), time.monotonic()
    print(_first_line(scene), flush=True)
    rows = _device(scene)
    for name in names:
        rows += CHECKS[name](scene)
        print(f"{name} checked, {time.monotonic() - began_s:.0f} s", flush=True)
    cells = [[row.check, row.figure, f"{row.value:.4g} {row.unit}".rstrip(), row.goal] for row in rows]
    show(f"{scene.device}, torch {torch.__version__}", ("check", "figure", "value", "goal"), cells)
    if arguments.json is not None:
        found = {"device": scene.device, "rows": [asdict(row) for row in rows]}
        arguments.json.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n")


def _first_line(scene: Scene) -> str:
    if scene.cuda:
        return f"CUDA device {torch.cuda.get_device_name(scene.device)}"
    return "no CUDA device: the same on the CPU, where a job that does not fit into memory is played"


def _device(scene: Scene) -> list[Row]:
    if scene.cuda:
        n_bytes = torch.cuda.get_device_properties(scene.device).total_memory
        return [
            Row("device", "CUDA devices found", float(torch.cuda.device_count()), "", ">= 1"),
            Row("device", "memory", n_bytes / 2**30, "GiB"),
        ]
    n_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return [
        Row("device", "CUDA devices found", 0.0, "", ">= 1"),
        Row("device", "memory", n_bytes / 2**30, "GiB"),
    ]


if __name__ == "__main__":
    main()
