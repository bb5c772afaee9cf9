"""Scenarios from recorded files, with permanent ids. `--trace` takes the file, or a folder that has it.

How a class is assigned is said in the module of each world: chats.py, vision.py, prompts.py, knee.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from bench.replay.recorded.chats import Chats, draw_chats
from bench.replay.recorded.knee import Knee, draw_knee
from bench.replay.recorded.prompts import Prompts, draw_prompts
from bench.replay.recorded.vision import Vision, draw_vision
from bench.replay.scenario import Scenario
from bench.replay.traces import found, read_azure, read_lmbench, read_mooncake, read_splitwise
from bench.replay.world import World
from tailwise.errors import ConfigError

__all__ = ["recorded_scenarios"]

_LOADS = (0.8, 0.95, 1.2)  # of the capacity; .8 also with events


@dataclass(frozen=True, slots=True)
class _Recording:
    """size: in words. file: or folder, its name among others. read: its reader.
    world: (load, events) -> (data, seed) -> World."""

    id: str
    title: str
    size: str
    file: str
    read: Callable[[Path], Any]
    world: Callable[[float, bool], Callable[[Any, int], World]]


def _chats(blind: bool) -> Callable[[float, bool], Callable[[Any, int], World]]:
    return lambda load, events: partial(draw_chats, Chats(load, events, blind))


_SIZES = "8 machines, 19,366 jobs", "8 machines, 12,031 jobs"
_AZURE = "azure_llm_2023/AzureLLMInferenceTrace_conv.csv"
_MOONCAKE = "mooncake/conversation_slim.csv"
_RECORDINGS = (
    # each request of the trace once
    _Recording("azure", "Azure's LLM requests", _SIZES[0], _AZURE, read_azure, _chats(False)),
    _Recording(
        "azure.blind", "Azure's LLM requests, outputs unknown", _SIZES[0], _AZURE, read_azure, _chats(True)
    ),
    _Recording("mooncake", "Mooncake's chats", _SIZES[1], _MOONCAKE, read_mooncake, _chats(False)),
    _Recording(
        "mooncake.blind",
        "Mooncake's chats, outputs unknown",
        _SIZES[1],
        _MOONCAKE,
        read_mooncake,
        _chats(True),
    ),
    _Recording(
        "timm",
        "images on six devices",
        "6 devices, 60 s",
        "timm",
        Path,
        lambda load, events: partial(draw_vision, Vision(load, events)),
    ),
    _Recording(
        "splitwise",
        "batches of prompts on A100 and H100",
        "6 machines, 20,000 jobs",
        "splitwise/perf_model.csv",
        read_splitwise,
        lambda load, events: partial(draw_prompts, Prompts(load, events)),
    ),
    _Recording(
        "lmbench",
        "replicas with a saturation knee",
        "6 replicas, 20,000 jobs",
        "lmbench/openshift__exp-0__vllm-70b.csv",
        read_lmbench,
        lambda load, events: partial(draw_knee, Knee(load, events)),
    ),
)


def recorded_scenarios(seeds: tuple[int, ...]) -> tuple[Scenario, ...]:
    """azure.load.080, azure.load.080.events, azure.load.095 .. of every recording."""
    rows = []
    for recording in _RECORDINGS:
        read = cache(recording.read)  # a file once, whatever the number of worlds
        for load in _LOADS:
            for events in (False, True) if load == _LOADS[0] else (False,):
                id = f"{recording.id}.load.{round(100 * load):03d}" + ".events" * events
                title = f"{recording.title}, {load:.0%} of the capacity" + ", with events" * events
                draw = partial(_draw, recording.file, read, recording.world(load, events))
                rows.append(Scenario(id, title, draw, seeds, recording.file, recording.size))
    return tuple(rows)


def _draw(
    file: str,
    read: Callable[[Path], Any],
    world: Callable[[Any, int], World],
    seed: int,
    trace: Path | None,
) -> World:
    if trace is None:
        raise ConfigError(f"--trace PATH is needed: {file}, or a folder that has it")
    return world(read(found(trace, file)), seed)
