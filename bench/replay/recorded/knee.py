"""Replicas of a language model that slow down as they fill, as a recorded load test of one replica shows.

    service_s = (read_s x prompt tokens + write_s x output tokens) x (1 + share x others in service) x speed x noise

The three constants are fitted to the file (least squares of ln with a soft loss; on the file of one replica .18 ms,
44 ms, .055 with a median error of .09). Arrivals are drawn, sizes are those of the file. The knee: beyond some ten
requests a replica hardly does more a second, and each takes longer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

import tailwise as tw
from bench.replay.arrivals import draw_arrivals
from bench.replay.recorded.pace import service_noise, troubles, well_rate
from bench.replay.stages import load_at, on_one_clock
from bench.replay.traces import LoadTest
from bench.replay.world import World

__all__ = ["Knee", "draw_knee", "fit_knee"]

Floats = NDArray[np.float64]

# Two replicas of six are on older cards, one on much older ones: how much slower is stated, not measured.
_SPEED = np.array([1.0, 1.0, 1.0, 1.4, 1.4, 2.0])
_SLOTS = 32  # in service where the recorded first tokens begin to wait for seconds (1.34 requests a second)
_SIGMA = 0.15
_N_JOBS = 20_000
CLASSES = (
    tw.QoS("interactive", 20.0, on_time=0.95, priority=0),
    tw.QoS("standard", 60.0, on_time=0.9, priority=1),
    tw.QoS("batch", 240.0, on_time=0.8, priority=2),
)
_OUTPUTS = (128.0, 320.0)  # tokens of output up to which a request is interactive, standard; batch beyond


@dataclass(frozen=True, slots=True)
class Knee:
    """load: of the capacity of the well fleet with every slot in use."""

    load: float
    events: bool = False


@dataclass(frozen=True, slots=True)
class Fit:
    """Seconds a prompt token and an output token on an idle replica, and the share that each other request adds."""

    read_s: float
    write_s: float
    share: float


def fit_knee(test: LoadTest) -> Fit:
    """The constants of one replica, from answers of two tokens or more."""
    at, first, end, prompt, output = on_one_clock(test)
    busy, _ = load_at(at, first, end, prompt)
    several = output > 1.0
    prompt, output, busy, total = (column[several] for column in (prompt, output, busy, end - at))

    def error(ln: Floats) -> Floats:
        read_s, write_s, share = np.exp(ln)
        return np.log((read_s * prompt + write_s * output) * (1.0 + share * busy) / total)

    # the soft loss turns linear beyond .1: the file has stalls of several times the usual
    found = least_squares(error, np.log([1e-4, 0.05, 0.02]), loss="soft_l1", f_scale=0.1)
    return Fit(*(float(value) for value in np.exp(found.x)))


def draw_knee(knee: Knee, test: LoadTest, seed: int) -> World:
    """Requests of the sizes of the file, by chance, on six replicas."""
    when, jobs, noise, trouble = (np.random.default_rng([seed, i]) for i in range(4))
    fit = fit_knee(test)
    sizes = np.stack((test.prompt_tokens, test.output_tokens), axis=1)
    sizes = sizes[(sizes > 0.0).all(axis=1)]
    alone_s = (sizes @ [fit.read_s, fit.write_s])[:, None] * _SPEED
    n_lanes = len(_SPEED)
    slots, interference = np.full(n_lanes, _SLOTS), np.full(n_lanes, fit.share)
    rate = knee.load * well_rate(alone_s, slots, interference)
    # a little more than enough of a stream, of which the first requests are taken
    arrival_s = draw_arrivals("poisson", rate, 1.1 * _N_JOBS / rate, when)[:_N_JOBS]
    row = jobs.integers(len(sizes), size=len(arrival_s))
    features = (
        tw.Feature("prompt_tokens", typical=1024),
        tw.Feature("output_tokens", typical=200, knee=True),
    )
    return World(
        classes=CLASSES,
        models=(tw.Model("llama-70b", features=features),),
        resources=tuple(tw.Resource(f"replica-{k}", slots=_SLOTS) for k in range(n_lanes)),
        arrival_s=arrival_s - arrival_s[0],
        qos=np.searchsorted(_OUTPUTS, sizes[row, 1]).astype(np.int64),
        model=np.zeros(len(row), dtype=np.int64),
        x=sizes[row],
        service_s=alone_s[row] * service_noise(_SIGMA, (len(row), n_lanes), noise),
        mean_s=alone_s[row],
        interference=interference,
        events=troubles(n_lanes, float(arrival_s[-1]), trouble) if knee.events else (),
    )
