"""Recorded requests to language models on a fleet of six speeds: arrivals and token counts are the trace's.

    service_s = (floor_s + read_s x prompt tokens not cached + write_s x output tokens) x noise

The speeds are rounded fits to the trials of llama2-70b in the Splitwise file (read_splitwise), on 2, 4 or 8 cards.
Prompts longer than its 8192 tokens go on in a straight line.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import tailwise as tw
from bench.replay.recorded.pace import at_pace, service_noise, troubles, well_rate
from bench.replay.traces import Requests
from bench.replay.world import World

__all__ = ["CLASSES", "Chats", "draw_chats"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Server:
    """A machine. floor_s, read_s, write_s: fixed, per prompt token, per output token."""

    name: str
    floor_s: float
    read_s: float
    write_s: float


_SERVERS = (
    _Server("h100x8", 0.030, 0.8e-4, 0.030),
    _Server("h100x4", 0.027, 1.0e-4, 0.029),
    _Server("h100x4", 0.027, 1.0e-4, 0.029),
    _Server("h100x2", 0.022, 1.5e-4, 0.037),
    _Server("a100x8", 0.036, 1.6e-4, 0.045),
    _Server("a100x4", 0.030, 2.3e-4, 0.045),
    _Server("a100x2", 0.033, 3.5e-4, 0.060),
    _Server("a100x2", 0.033, 3.5e-4, 0.060),
)
_MIDDLE = _Server("middle", 0.030, 2.0e-4, 0.045)
_SLOTS = 8  # requests that a machine serves at once
_INTERFERENCE = 0.01  # token times grow by 6-12% from batch 1 to 8 there
_SIGMA = 0.1  # not in the files; repeated trials alone on a machine spread by .005-.05
CLASSES = (
    tw.QoS("interactive", 9.0, on_time=0.95, priority=0),
    tw.QoS("standard", 27.0, on_time=0.9, priority=1),
    tw.QoS("batch", 90.0, on_time=0.8, priority=2),
)
# A request is interactive if the middle machine does it within 6 s, standard within 18 s, batch beyond: half, 30% and
# 20% of Azure's. The deadlines of the first two are half as long again. Where the output is not known, a class goes
# by the prompt, up to 512 and 2048 tokens.
_WITHIN_S = (6.0, 18.0)
_PROMPTS = (512.0, 2048.0)
_BINS = 20  # of prompts alike in size, whose mean output is all that the policy with true means may know


@dataclass(frozen=True, slots=True)
class Chats:
    """load: of the capacity of the well fleet. blind: a request tells its prompt only, not how long the answer will
    be; else both, as with a length that the caller fixes."""

    load: float
    events: bool = False
    blind: bool = False


def draw_chats(chats: Chats, requests: Requests, seed: int) -> World:
    """Every request of the trace once, from a row of the seed's on."""
    when, noise, trouble = (np.random.default_rng([seed, i]) for i in range(3))
    prompt, output = _to_read(requests), np.maximum(requests.output_tokens, 1.0)
    known_output = _mean_output(prompt, output) if chats.blind else output
    slots, interference = np.full(len(_SERVERS), _SLOTS), np.full(len(_SERVERS), _INTERFERENCE)
    seconds, known_s = _seconds(prompt, output), _seconds(prompt, known_output)
    # what the fleet can serve does not depend on what is known of the jobs
    rate = chats.load * well_rate(seconds, slots, interference)
    arrival_s, rows = at_pace(requests.arrival_s, rate, when)
    size, bounds = (prompt, _PROMPTS) if chats.blind else (_alone_s(_MIDDLE, prompt, output), _WITHIN_S)
    features = [tw.Feature("prompt_tokens", typical=1024, knee=True)]
    columns = [prompt]
    if not chats.blind:
        features.append(tw.Feature("output_tokens", typical=128, knee=True))
        columns.append(output)
    n = len(rows)
    return World(
        classes=CLASSES,
        models=(tw.Model("llm-70b", features=tuple(features)),),
        resources=tuple(
            tw.Resource(f"{server.name}-{k}", slots=_SLOTS, kind=server.name[:4])
            for k, server in enumerate(_SERVERS)
        ),
        arrival_s=arrival_s,
        qos=np.searchsorted(bounds, size[rows]).astype(np.int64),
        model=np.zeros(n, dtype=np.int64),
        x=np.stack(columns, axis=1)[rows],
        service_s=seconds[rows] * service_noise(_SIGMA, (n, len(_SERVERS)), noise),
        mean_s=known_s[rows],
        interference=interference,
        events=troubles(len(_SERVERS), float(arrival_s[-1]), trouble) if chats.events else (),
    )


def _to_read(requests: Requests) -> Floats:
    """(n,) prompt tokens less those cached, which every machine shares (Mooncake's store is one for all); >= 1."""
    cached = 0.0 if requests.cached_tokens is None else requests.cached_tokens
    return np.maximum(requests.prompt_tokens - cached, 1.0)


def _alone_s(server: _Server, prompt: Floats, output: Floats) -> Floats:
    return server.floor_s + server.read_s * prompt + server.write_s * output


def _seconds(prompt: Floats, output: Floats) -> Floats:
    """(n, K)"""
    return np.stack([_alone_s(server, prompt, output) for server in _SERVERS], axis=1)


def _mean_output(prompt: Floats, output: Floats) -> Floats:
    """(n,) mean output of the requests with a prompt of about this size."""
    edges = np.quantile(prompt, np.arange(1, _BINS) / _BINS)
    bins = np.searchsorted(edges, prompt)
    count = np.maximum(np.bincount(bins, minlength=_BINS), 1)
    means: Floats = (np.bincount(bins, output, minlength=_BINS) / count)[bins]
    return means
