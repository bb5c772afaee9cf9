"""C3: the least score R - 1/mu + q^3 / mu, where q counts the jobs that other clients may have sent, too.

Suresh, Canini, Schmid, Feldmann: "C3: Cutting Tail Latency in Cloud Data Stores via Adaptive Replica Selection",
NSDI 2015, section 3.1. R: smoothed response time; 1/mu, queue: smoothed service time and queue size that the server
sends back with each answer; q = 1 + own open jobs x clients + queue. New values weigh .9, and a server that has never
answered scores 0, as in the authors' code for Cassandra (ScoreTracker.java). Without its rate control, which holds
requests back at the client: here every job is placed when it arrives.
"""

from __future__ import annotations

import numpy as np

from bench.replay.baselines.candidates import at_server, lesser
from bench.replay.compiled import compiled
from bench.replay.face import CHOOSE, ENDED, Baseline, allowed
from bench.replay.outcome import End

__all__ = ["C3"]

_ALPHA = 0.9
_QUEUE, _SERVICE, _WAITED, _SIZE = 0, 1, 2, 3  # of a lane, in memory; waited = R - 1/mu
_COMPLETED = int(End.COMPLETED)


@compiled
def score(view, lanes, memory, lane):  # type: ignore[no-untyped-def]
    """Seconds, the less the better."""
    n_clients = view.queued_s.shape[0]
    q = 1.0 + lanes[lane].open * n_clients + memory[_SIZE * lane + _QUEUE]
    return memory[_SIZE * lane + _WAITED] + q**3 * memory[_SIZE * lane + _SERVICE]


@CHOOSE
def _choose(view, lanes, memory, rng, job, now_s):  # type: ignore[no-untyped-def]
    best, least, ties = -1, np.inf, 0
    for k in range(lanes.shape[0]):
        if allowed(view, lanes, job, k):
            best, least, ties = lesser(rng, best, least, ties, k, score(view, lanes, memory, k))
    return best


@ENDED
def _ended(view, lanes, memory, rng, job, lane, end, service_s, completion_s, now_s):  # type: ignore[no-untyped-def]
    if end != _COMPLETED:
        return  # no answer, so nothing comes with it
    at = _SIZE * lane
    memory[at + _QUEUE] += _ALPHA * (at_server(view, lane) - memory[at + _QUEUE])
    memory[at + _SERVICE] += _ALPHA * (service_s - memory[at + _SERVICE])
    memory[at + _WAITED] += _ALPHA * (completion_s - service_s - memory[at + _WAITED])


C3 = Baseline(
    "C3",
    "Suresh et al., NSDI 2015 (https://www.usenix.org/conference/nsdi15/technical-sessions/presentation/suresh)",
    _choose,
    _ended,
    n_memory=lambda n_lanes, n_models, n_features: _SIZE * n_lanes,
)
