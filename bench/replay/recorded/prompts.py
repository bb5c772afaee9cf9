"""Batches of prompts on A100 and H100 machines, each as long as a recorded trial of it: nothing is fitted.

A job is one of the cells that Splitwise measured, (network, prompt size, batch size), by chance; on a machine
(hardware, cards) it takes the prompt time of one of the trials of that cell there, by chance. Machines that the file
has no trials of a network for cannot run it. Arrivals are drawn: the file has none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import tailwise as tw
from bench.replay.arrivals import draw_arrivals
from bench.replay.recorded.pace import troubles, well_rate
from bench.replay.traces import Trials
from bench.replay.world import World

__all__ = ["Prompts", "draw_prompts"]

CLASSES = (
    tw.QoS("interactive", 2.0, on_time=0.95, priority=0),
    tw.QoS("standard", 8.0, on_time=0.9, priority=1),
    tw.QoS("batch", 60.0, on_time=0.8, priority=2),
)
_TOKENS = (512.0, 4096.0)  # prompt x batch up to which a job is interactive, standard; batch beyond
_N_JOBS = 20_000


@dataclass(frozen=True, slots=True)
class Prompts:
    """load: of the capacity of the well fleet."""

    load: float
    events: bool = False


@dataclass(frozen=True, slots=True)
class _Cells:
    """What was measured, C cells (network, prompt tokens, batch) on K machines (hardware, cards)."""

    cells: list[tuple[str, float, float]]
    machines: list[tuple[str, int]]
    trials: list[list[list[float]]]  #: (C, K) lists of prompt times; empty = not measured there
    mean_s: NDArray[np.float64]  #: (C, K), inf where there are none

    @classmethod
    def of(cls, trials: Trials) -> _Cells:
        on = list(zip(trials.hardware, trials.cards.astype(int).tolist(), strict=True))
        of = list(zip(trials.model, trials.prompt_tokens.tolist(), trials.batch.tolist(), strict=True))
        machines, cells = sorted(set(on)), sorted(set(of))
        lane = {machine: k for k, machine in enumerate(machines)}
        row = {cell: c for c, cell in enumerate(cells)}
        seconds: list[list[list[float]]] = [[[] for _ in machines] for _ in cells]
        for machine, cell, prompt_s in zip(on, of, trials.prompt_s.tolist(), strict=True):
            seconds[row[cell]][lane[machine]].append(prompt_s)
        mean_s = np.array([[np.mean(times) if times else np.inf for times in row] for row in seconds])
        return cls(cells, machines, seconds, mean_s)

    def draw(self, cell: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float64]:
        """(n, K) a trial by chance of each job's cell on each machine, inf where there is none."""
        u = rng.random((len(cell), len(self.machines)))
        seconds = np.full(u.shape, np.inf)
        for c, row in enumerate(self.trials):
            jobs = np.flatnonzero(cell == c)
            for k, times in enumerate(row):
                if times:
                    seconds[jobs, k] = np.array(times)[(u[jobs, k] * len(times)).astype(int)]
        return seconds

    def able(self, network: str) -> tuple[str, ...]:
        """Names of the machines that the network was measured on."""
        rows = [c for c, cell in enumerate(self.cells) if cell[0] == network]
        ran = np.isfinite(self.mean_s[rows]).any(axis=0)
        return tuple(name for name, r in zip(self.names, ran, strict=True) if r)

    @property
    def names(self) -> list[str]:
        return [f"{hardware}x{cards}" for hardware, cards in self.machines]


def draw_prompts(prompts: Prompts, trials: Trials, seed: int) -> World:
    """Some hours of batches; every machine of the file once."""
    when, jobs, noise, trouble = (np.random.default_rng([seed, i]) for i in range(4))
    measured = _Cells.of(trials)
    n_lanes = len(measured.machines)
    slots, interference = np.ones(n_lanes, dtype=np.int64), np.zeros(n_lanes)
    rate = prompts.load * well_rate(measured.mean_s, slots, interference)
    # a little more than enough of a stream, of which the first jobs are taken
    arrival_s = draw_arrivals("poisson", rate, 1.1 * _N_JOBS / rate, when)[:_N_JOBS]
    cell = jobs.integers(len(measured.cells), size=len(arrival_s))
    networks = sorted(set(trials.model))
    x = np.array([size for _, *size in measured.cells])[cell]
    features = (
        tw.Feature("prompt_tokens", typical=512, knee=True),
        tw.Feature("batch", typical=4, knee=True),
    )
    return World(
        classes=CLASSES,
        models=tuple(tw.Model(name, features=features, resources=measured.able(name)) for name in networks),
        resources=tuple(
            tw.Resource(name, kind=hardware.split("-")[0])
            for name, (hardware, _) in zip(measured.names, measured.machines, strict=True)
        ),
        arrival_s=arrival_s - arrival_s[0],
        qos=np.searchsorted(_TOKENS, x.prod(axis=1)).astype(np.int64),
        model=np.array([networks.index(name) for name, *_ in measured.cells])[cell],
        x=x,
        service_s=measured.draw(cell, noise),
        mean_s=measured.mean_s[cell],
        interference=interference,
        events=troubles(n_lanes, float(arrival_s[-1]), trouble) if prompts.events else (),
    )
