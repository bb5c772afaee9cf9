"""The one table of scenarios. An id never changes its meaning: a changed world gets a new id.

How a class is assigned in the drawn ones: to each job by chance, half interactive (deadline .1 s, batch 1-4), 30%
standard (.5 s, 1-8), 20% batch (3 s, 8-32); the model by chance, whatever the class. Those from recorded files are in
recorded/table.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

from bench.replay.drawn import Grid, draw_grid, draw_published
from bench.replay.recorded.table import recorded_scenarios
from bench.replay.scenario import Scenario
from bench.replay.traces import found, read_arrivals
from bench.replay.world import World
from tailwise.errors import ConfigError

__all__ = ["CHOOSING_SEEDS", "LOADS", "REPORTED_SEEDS", "SCENARIOS"]

CHOOSING_SEEDS = tuple(range(1, 21))  # constants of whatever decides were chosen on these
REPORTED_SEEDS = tuple(range(101, 106))  # and on these, and those above, nothing was
LOADS = (0.5, 0.8, 0.95, 1.2, 1.6, 2.5)
_STALE_S = (0.02, 0.05, 0.2)
_GATEWAYS = 4
_JOBS = 30_000  # of the grid at a load of 1, mean of the reported seeds; by the fleet 27,700 to 32,100
_IN_FOLDER = "azure_llm_2023/AzureLLMInferenceTrace_conv.csv"
_TRACE = "a CSV file of arrival times; of a folder Azure's"
_read = cache(read_arrivals)  # a file once, whatever the number of worlds


def _size(grid: Grid) -> str:
    jobs = _JOBS * grid.load * (grid.n_resources / 8) * (grid.duration_s / 60.0) / grid.slower
    return f"{grid.n_resources} resources, {grid.duration_s:g} s, {jobs:,.0f} jobs"


def _drawn(id: str, title: str, grid: Grid) -> Scenario:
    def draw(seed: int, trace: Path | None) -> World:
        return draw_grid(grid, seed)

    return Scenario(id, title, draw, REPORTED_SEEDS, size=_size(grid))


def _recorded(load: float, events: bool) -> Scenario:
    grid = Grid(load, events)

    def draw(seed: int, trace: Path | None) -> World:
        if trace is None:
            raise ConfigError(f"--trace PATH is needed: {_TRACE}")
        return draw_grid(grid, seed, _read(found(trace, _IN_FOLDER)))

    id = f"grid.trace.load.{_percent(load)}" + ".events" * events
    title = f"recorded arrivals at {load:.0%}" + ", with events" * events
    return Scenario(id, title, draw, REPORTED_SEEDS, _TRACE, _size(grid))


def _fleet(load: float, known: bool) -> Scenario:
    """A job takes about a second, so that the times of all on 4096 resources stay under 2 GB."""
    grid = Grid(load, n_resources=4096, duration_s=9.0, slower=40.0, known=known)
    id = "fleet.4096" + ".known" * known + f".load.{_percent(load)}"
    title = f"4096 resources at {load:.0%}, " + (
        "each measured before" if known else "of which nothing is known"
    )
    # LinUCB sends what comes in the first second to the first of 4096 equal resources, and trees forecast all of them
    return replace(_drawn(id, title, grid), left_out=("LinUCB", "quantile trees"))


def _percent(load: float) -> str:
    return f"{round(100 * load):03d}"


def _table() -> tuple[Scenario, ...]:
    rows = []
    for load in LOADS:
        for events in (False, True):
            # grid.poisson.load.080 and grid.poisson.load.080.events
            rows.append(
                _drawn(
                    f"grid.poisson.load.{_percent(load)}" + ".events" * events,
                    f"Poisson arrivals at {load:.0%} of the capacity" + ", with events" * events,
                    Grid(load, events),
                )
            )
    for stream in ("gamma", "modulated"):
        for load in (0.8, 0.95):
            for events in (False, True):
                rows.append(
                    _drawn(
                        f"grid.{stream}.load.{_percent(load)}" + ".events" * events,
                        f"{stream} arrivals at {load:.0%}" + ", with events" * events,
                        Grid(load, events, stream),
                    )
                )
    for load in (0.5, 0.8):
        rows.append(
            _drawn(
                f"grid.tied.load.{_percent(load)}",
                f"Poisson arrivals at {load:.0%}, outliers that are slow everywhere",
                Grid(load, tied=True),
            )
        )
    for load in (0.8, 0.95):
        for age_s in (0.0, *_STALE_S):
            # reports come as often as they are old, those of age 0 every 5 ms
            every_s = age_s or 0.005
            rows.append(
                _drawn(
                    f"grid.stale.{round(1000 * age_s):03d}ms.load.{_percent(load)}",
                    f"{_GATEWAYS} gateways at {load:.0%}, load reports {1000 * age_s:g} ms old",
                    Grid(load, n_gateways=_GATEWAYS, report_every_s=every_s, report_age_s=age_s),
                )
            )
    rows += [_recorded(load, events) for load in (0.8, 0.95) for events in (False, True)]
    for known in (False, True):
        for load in (0.8, 0.95):
            # fleet.4096.load.080 and fleet.4096.known.load.080
            rows.append(_fleet(load, known))
    rows.append(
        Scenario(
            "published.11",
            "11 backends, 1000 requests/s, one at 2 s from t = 15 s for 30 s; success within 1 s",
            lambda seed, trace: draw_published(seed),
            REPORTED_SEEDS,
            size="11 backends, 60 s, 60,000 jobs",
        )
    )
    return (*rows, *recorded_scenarios(REPORTED_SEEDS))


SCENARIOS: Mapping[str, Scenario] = {scenario.id: scenario for scenario in _table()}
