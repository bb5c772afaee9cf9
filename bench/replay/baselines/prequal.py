"""Prequal: of a pool of asynchronous probes, the cold one with the least latency, or the least loaded if all are hot.

Wydrowski, Kleinberg, Rumble, Archer: "Load is not what you should balance: Introducing Prequal", NSDI 2024, section
4. With each job three random servers are probed (r_probe); an answer is the server's requests in flight (RIF) and its
estimate of latency, the median of recent ones at about that RIF. The pool holds 16 probes, the newest of a server; a
probe goes after a second, after b_reuse uses, and one a job goes by turns because it is the oldest or the worst
(r_remove). Hot: a RIF above a quantile Q_RIF of those probed lately, .6 to .9 by the paper. The RIF of a used probe
is raised by the job that was sent. With less than two probes a server is taken by chance.

Here the quantile is .6, the best of that range on the choosing seeds: a server's latency says little where jobs are
unlike, and 2^-.25 = .84, the default there, costs 13 to 17 points at .8 of the capacity with and without events, and
.03 of published.11, where jobs are alike (0, the RIF alone, gains 3 at .8). An answer is there with the next job.
Latencies are those of jobs from this gateway, of which each server keeps 16. In the formula of b_reuse pool / servers
counts as 1/2 at most: it was made for many more servers than probes. Its defence against servers that answer fast
because they fail is not published: the breaker of the common layer.
"""

from __future__ import annotations

import numpy as np

from bench.replay.baselines.candidates import at_server, n_allowed, nth_allowed
from bench.replay.compiled import compiled
from bench.replay.face import CHOOSE, ENDED, Baseline, allowed
from bench.replay.outcome import End

__all__ = ["PREQUAL"]

_POOL, _R_PROBE, _R_REMOVE, _DELTA, _MAX_AGE_S = 16, 3, 1, 1.0, 1.0
_Q_RIF = 0.6
_RIFS = 64  # of probes, of which the quantile is taken
_KEPT, _NEAR = 16, 5  # latencies of a server, and how many of those nearest in RIF make the median
_COMPLETED = int(End.COMPLETED)

# memory: counters, RIFs of the latest probes, the pool, and of each lane its latest (RIF, latency) and their count
_N_PROBES, _N_POOL, _TURN, _HEAD = 0, 1, 2, 3
_AT_POOL = _HEAD + _RIFS
_LANE, _RIF, _LATENCY, _TIME, _USES, _PROBE = 0, 1, 2, 3, 4, 5  # of a probe; its size
_AT_LANES = _AT_POOL + _POOL * _PROBE
_LANE_SIZE = 1 + 2 * _KEPT


@compiled
def latency_at(memory, lane, rif):  # type: ignore[no-untyped-def]
    """Median of the latencies of a server that are nearest in RIF, 0 = none known. Takes the nearest one by one."""
    at = _AT_LANES + lane * _LANE_SIZE
    n = min(int(memory[at]), _KEPT)
    near = min(n, _NEAR)
    if near == 0:
        return 0.0
    # the distance that `near` of them are within
    within = 0.0
    while True:
        count, beyond = 0, np.inf
        for i in range(n):
            distance = abs(memory[at + 1 + 2 * i] - rif)
            if distance <= within:
                count += 1
            else:
                beyond = min(beyond, distance)
        if count >= near:
            break
        within = beyond
    # the lower median: as many of them below or equal as half, rounded up
    median = np.inf
    for i in range(n):
        if abs(memory[at + 1 + 2 * i] - rif) <= within:
            latency, below = memory[at + 2 + 2 * i], 0
            for j in range(n):
                if abs(memory[at + 1 + 2 * j] - rif) <= within and memory[at + 2 + 2 * j] <= latency:
                    below += 1
            if 2 * below >= count and latency < median:
                median = latency
    return median


@compiled
def _hot(memory, rif):  # type: ignore[no-untyped-def]
    """Whether it is above the quantile of the latest probes: when _Q_RIF of those are below it."""
    n, below = min(int(memory[_N_PROBES]), _RIFS), 0
    for i in range(n):
        below += memory[_HEAD + i] < rif
    return below >= _Q_RIF * n


@compiled
def _drop(memory, i):  # type: ignore[no-untyped-def]
    """Probe i leaves the pool; the others keep their order, oldest first."""
    n = int(memory[_N_POOL])
    for k in range(_AT_POOL + i * _PROBE, _AT_POOL + (n - 1) * _PROBE):
        memory[k] = memory[k + _PROBE]
    memory[_N_POOL] = n - 1


@compiled
def _probe(view, memory, lane, now_s):  # type: ignore[no-untyped-def]
    for i in range(int(memory[_N_POOL])):
        if int(memory[_AT_POOL + i * _PROBE + _LANE]) == lane:
            _drop(memory, i)
            break
    if memory[_N_POOL] == _POOL:
        _drop(memory, 0)
    rif = float(at_server(view, lane))
    memory[_HEAD + int(memory[_N_PROBES]) % _RIFS] = rif
    memory[_N_PROBES] += 1.0
    at = _AT_POOL + int(memory[_N_POOL]) * _PROBE
    memory[at + _LANE], memory[at + _RIF], memory[at + _TIME], memory[at + _USES] = lane, rif, now_s, 0.0
    memory[at + _LATENCY] = latency_at(memory, lane, rif)
    memory[_N_POOL] += 1.0


@compiled
def pick(view, lanes, memory, job, worst):  # type: ignore[no-untyped-def]
    """The probe of the pool that the hot-cold rule puts first for a job, or (worst) last for any; -1 = none fits."""
    chosen, chosen_hot, chosen_value = -1, False, 0.0
    for i in range(int(memory[_N_POOL])):
        at = _AT_POOL + i * _PROBE
        if not worst and not allowed(view, lanes, job, int(memory[at + _LANE])):
            continue
        hot = _hot(memory, memory[at + _RIF])
        value = memory[at + _RIF] if hot else memory[at + _LATENCY]
        better = value < chosen_value if hot == chosen_hot else chosen_hot
        same = hot == chosen_hot and value == chosen_value
        if chosen < 0 or (better != worst and not same):
            chosen, chosen_hot, chosen_value = i, hot, value
    return chosen


@compiled
def _use(memory, n_lanes, rng, i):  # type: ignore[no-untyped-def]
    """A job goes where probe i was: once more there, and the probe is used once more."""
    at = _AT_POOL + i * _PROBE
    memory[at + _RIF] += 1.0
    memory[at + _USES] += 1.0
    reuse = max(1.0, (1.0 + _DELTA) / ((1.0 - min(_POOL / n_lanes, 0.5)) * _R_PROBE - _R_REMOVE))
    if memory[at + _USES] + rng.random() > reuse:  # b_reuse, rounded up or down by chance
        _drop(memory, i)


@CHOOSE
def _choose(view, lanes, memory, rng, job, now_s):  # type: ignore[no-untyped-def]
    n_lanes, n = lanes.shape[0], n_allowed(view, lanes, job)
    while memory[_N_POOL] > 0.0 and now_s - memory[_AT_POOL + _TIME] > _MAX_AGE_S:
        _drop(memory, 0)
    i = pick(view, lanes, memory, job, False) if memory[_N_POOL] >= 2.0 else -1
    if i >= 0:
        chosen, rif = int(memory[_AT_POOL + i * _PROBE + _LANE]), memory[_AT_POOL + i * _PROBE + _RIF]
        _use(memory, n_lanes, rng, i)
    else:
        chosen = nth_allowed(view, lanes, job, int(rng.random() * n))
        rif = float(at_server(view, chosen)) if chosen >= 0 else 0.0
    view.jobs[job].expected_s = rif  # not seconds: kept for `ended`, and no wait is asked for here
    if memory[_N_POOL] > 2.0:
        memory[_TURN] = 1.0 - memory[_TURN]
        _drop(memory, 0 if memory[_TURN] == 1.0 else pick(view, lanes, memory, job, True))
    # three different ones by chance: each of those left with the same
    left, wanted = n, min(_R_PROBE, n)
    for k in range(n_lanes):
        if allowed(view, lanes, job, k):
            if rng.random() * left < wanted:
                _probe(view, memory, k, now_s)
                wanted -= 1
            left -= 1
    return chosen


@ENDED
def _ended(view, lanes, memory, rng, job, lane, end, service_s, completion_s, now_s):  # type: ignore[no-untyped-def]
    if end == _COMPLETED:
        at = _AT_LANES + lane * _LANE_SIZE
        place = at + 1 + 2 * (int(memory[at]) % _KEPT)
        memory[place], memory[place + 1] = view.jobs[job].expected_s, completion_s
        memory[at] += 1.0


PREQUAL = Baseline(
    "Prequal",
    "Wydrowski et al., NSDI 2024 (https://arxiv.org/abs/2312.10172)",
    _choose,
    _ended,
    n_memory=lambda n_lanes, n_models, n_features: _AT_LANES + n_lanes * _LANE_SIZE,
)
