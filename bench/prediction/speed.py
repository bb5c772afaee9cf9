"""What foretelling a row and learning a result cost, on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

import tailwise as tw
from bench.calibration.foresee import Log
from bench.prediction.retrained import EVERY, WINDOW, Predictor

__all__ = ["Cost", "cost_of", "cost_of_tailwise"]

ROWS = 1000
PASSES = 5
OPEN = 20

Cost = tuple[float, float]  #: nanoseconds of one prediction, of one result learned


def _fastest_ns(work: Callable[[], object], passes: int = PASSES) -> float:
    """The least of a few passes: whatever else the machine does only adds."""
    spent = []
    for _ in range(passes):
        start = time.perf_counter_ns()
        work()
        spent.append(time.perf_counter_ns() - start)
    return float(min(spent))


def cost_of_tailwise(log: Log) -> Cost:
    """A whole decision (`select` with one candidate) and a `complete` with its rebuilds, from Python."""
    engine = tw.Engine(log.resources, log.models, [tw.QoS("any", deadline_s=1e6, on_time=0.9)], seed=0)
    route = engine.route(log.models[0].name, "any")
    rows = (log.rows * (ROWS // len(log.rows) + 1))[:ROWS]
    xs, seconds = [row.x for row in rows], [row.seconds for row in rows]
    spent = np.empty((PASSES, 2))
    for one in spent:
        one[:] = 0.0
        for first in range(0, ROWS, OPEN):  # few at a time: jobs that stay open would look as if they hung
            start = time.perf_counter_ns()
            tickets = [route.select(x) for x in xs[first : first + OPEN]]
            between = time.perf_counter_ns()
            for ticket, s in zip(tickets, seconds[first : first + OPEN], strict=True):
                ticket.complete(s)
            one += between - start, time.perf_counter_ns() - between
    predict_ns, update_ns = spent.min(axis=0) / ROWS
    return float(predict_ns), float(update_ns)


def cost_of(predictor: Predictor, X: NDArray[np.float64], y: NDArray[np.float64]) -> Cost:
    """One row at a time, as a router asks; a fit on the whole window, spread over the results between two."""
    update_ns = _fastest_ns(lambda: predictor.fit(X[:WINDOW], y[:WINDOW]), 1)
    return _fastest_ns(lambda: predictor.quantiles(X[:1])), update_ns / EVERY
