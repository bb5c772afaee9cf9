"""When jobs arrive: open loop, so a slow policy gets no fewer jobs than a fast one."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tailwise.errors import ConfigError

__all__ = ["TIME_COLUMNS", "gamma_times", "read_trace", "seconds_of", "trace_times"]

Times = NDArray[np.float64]

#: Columns that hold arrival times, and seconds per unit (None: an ISO date and time).
TIME_COLUMNS = {"t_s": 1.0, "arrival_s": 1.0, "launch_s": 1.0, "timestamp_ms": 1e-3, "TIMESTAMP": None}


def gamma_times(rng: np.random.Generator, rate_per_s: float, cv: float, seconds: float) -> Times:
    """Arrival times in [0, seconds) with gamma gaps of the given rate and coefficient of variation."""
    shape = 1.0 / cv**2
    times: Times = np.empty(0)
    end_s = 0.0
    while end_s < seconds:
        gaps = rng.gamma(shape, 1.0 / (rate_per_s * shape), size=max(16, int(rate_per_s * seconds)))
        times = np.concatenate([times, end_s + np.cumsum(gaps)])
        end_s = float(times[-1])
    return times[times < seconds]


def read_trace(path: Path) -> Times:
    """Sorted arrival times, seconds from the first, of a CSV file with one of the columns in the message below.

    Raises ConfigError naming the file and what is wrong with it.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            column = next((name for name in TIME_COLUMNS if name in (reader.fieldnames or ())), None)
            if column is None:
                raise ConfigError(
                    f"trace {path}: none of the columns {', '.join(TIME_COLUMNS)} in its header"
                )
            times = np.sort([seconds_of(row[column], TIME_COLUMNS[column]) for row in reader])
    except OSError as error:
        raise ConfigError(f"trace {path}: {error.strerror}") from None
    except (ValueError, TypeError) as error:
        raise ConfigError(f"trace {path}: {error}") from None
    if len(times) < 2 or times[-1] <= times[0]:
        raise ConfigError(f"trace {path}: at least two arrivals at different times are expected")
    first: Times = times - times[0]
    return first


def trace_times(rng: np.random.Generator, trace: Times, rate_per_s: float, seconds: float) -> Times:
    """Arrival times in [0, seconds): a stretch of the trace from a random start, its clock scaled so that the
    whole trace has the given rate. Bursts stay bursts. The trace wraps around."""
    scale = (len(trace) - 1) / (trace[-1] * rate_per_s)
    gaps = np.diff(trace, append=trace[-1] + trace[-1] / (len(trace) - 1)) * scale
    start = int(rng.integers(len(gaps)))
    times = np.cumsum(np.roll(gaps, -start))
    return times[times < seconds]


def seconds_of(value: str, unit_s: float | None) -> float:
    """A time in a trace as seconds: a number of `unit_s`, or (None) an ISO date and time, in UTC if it does not say.

    Only differences are used, so UTC stands for any zone, and spares those of one with daylight saving. Raises
    ValueError.
    """
    if unit_s is None:
        then = datetime.fromisoformat(value)
        return (then if then.tzinfo else then.replace(tzinfo=UTC)).timestamp()
    return float(value) * unit_s
