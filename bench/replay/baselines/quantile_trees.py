"""Gradient-boosted trees of a quantile of the service time, trained anew on the latest jobs, with tracked wait.

What the latency predictor of the Kubernetes Gateway API inference extension does (latencypredictor/ there: a training
server that fits quantile trees on the latest samples, at most 5000 a bucket, from 100 on, every few seconds), with
scikit-learn's HistGradientBoostingRegressor instead of XGBoost, the resource as an input, so that unlike ones can be
told apart, and the wait known by one's own queues instead of learned from their length. The median instead of its
p90: what is ranked and waited for is the usual time. Trees predict all jobs that come before the next training at
once, and training takes no time; both are better than there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from bench.replay.baselines.candidates import least_loaded, lesser
from bench.replay.face import CHOOSE, Baseline, View, allowed, wait_s
from bench.replay.world import World

__all__ = ["QUANTILE_TREES"]

_EVERY_S = 5.0
_AT_LEAST, _AT_MOST = 100, 5000  # jobs to train on
_AHEAD = 1000  # jobs that a forest predicts at least: where few come in 5 s, training waits for more of them
_QUANTILE = 0.5


@CHOOSE
def _choose(view, lanes, memory, rng, job, now_s):  # type: ignore[no-untyped-def]
    if np.isnan(view.forecast_s[job, 0]):
        return least_loaded(view, lanes, rng, job)  # until there are trees
    best, least_s, ties = -1, np.inf, 0
    for k in range(lanes.shape[0]):
        if allowed(view, lanes, job, k):
            completion_s = wait_s(view, lanes, k, job, now_s) + view.forecast_s[job, k]
            best, least_s, ties = lesser(rng, best, least_s, ties, k, completion_s)
    if best >= 0:
        view.jobs[job].expected_s = view.forecast_s[job, best]
    return best


def retrain(world: World, view: View, done: NDArray[np.int64], now_s: float) -> None:
    """Fits the latest jobs that are done and forecasts those to come until the next call, `_AHEAD` at least."""
    first, stop = np.searchsorted(world.arrival_s, (now_s, now_s + _EVERY_S))
    if len(done) < _AT_LEAST or first == len(world) or not np.isnan(view.forecast_s[first:stop]).any():
        return
    done = done[-_AT_MOST:]
    jobs, n_lanes = view.jobs[done], len(world.resources)
    trees = HistGradientBoostingRegressor(
        loss="quantile",
        quantile=_QUANTILE,
        max_iter=50,
        learning_rate=0.2,
        categorical_features=[0, 1],
        early_stopping=False,
        random_state=0,
    )
    coming = np.arange(first, min(max(stop, first + _AHEAD), len(world)))
    with threadpool_limits(1):  # the fits are small: more threads wait for each other
        trees.fit(_inputs(world, done, jobs["lane"]), np.log(jobs["end_s"] - jobs["start_s"]))
        rows = np.repeat(coming, n_lanes), np.tile(np.arange(n_lanes), len(coming))
        view.forecast_s[coming] = np.exp(trees.predict(_inputs(world, *rows))).reshape(-1, n_lanes)


def _inputs(world: World, job: NDArray[np.int64], lane: NDArray[np.int64]) -> NDArray[np.float64]:
    """(len(job), 2 + n_features) resource, model, inputs."""
    return np.column_stack((lane, world.model[job], world.x[job]))


QUANTILE_TREES = Baseline(
    "quantile trees",
    "Kubernetes Gateway API inference extension, latencypredictor "
    "(https://github.com/kubernetes-sigs/gateway-api-inference-extension)",
    _choose,
    retrain_s=_EVERY_S,
    retrain=retrain,
)
