"""Prequal does what its paper says, on a pool made by hand."""

from __future__ import annotations

import numpy as np

from bench.replay.baselines import prequal
from bench.replay.baselines.prequal import PREQUAL
from tests.bench.replay.hand import Hand


def _fill(hand: Hand, *probes: tuple[int, float, float]) -> None:
    """A pool of (lane, RIF, latency), oldest first, none of it aged; RIFs of 1 to 10 were probed before."""
    memory = hand.memory
    memory[prequal._N_PROBES] = 10
    memory[prequal._HEAD : prequal._HEAD + 10] = np.arange(1, 11)
    memory[prequal._N_POOL] = len(probes)
    for i, (lane, rif, latency) in enumerate(probes):
        at = prequal._AT_POOL + i * prequal._PROBE
        memory[at : at + prequal._PROBE] = (lane, rif, latency, 0.0, 0.0)


def _picked(hand: Hand, worst: bool = False) -> int:
    i = prequal.pick(hand.view, hand.lanes, hand.memory, 0, worst)
    return int(hand.memory[prequal._AT_POOL + i * prequal._PROBE])


def test_the_cold_probe_of_least_latency_is_taken_and_among_hot_ones_the_least_loaded() -> None:
    """Six tenths of 1 to 10 are below 7: 7 and more is hot."""
    hand = Hand(PREQUAL)
    _fill(hand, (0, 7.0, 0.1), (1, 6.0, 0.4), (2, 1.0, 0.5))
    assert (_picked(hand), _picked(hand, worst=True)) == (1, 0)
    _fill(hand, (0, 9.0, 0.1), (1, 8.0, 0.4), (2, 10.0, 0.2))
    assert (_picked(hand), _picked(hand, worst=True)) == (1, 2)
    _fill(hand, (0, 3.0, 0.1), (1, 5.0, 0.4), (2, 1.0, 0.2))
    assert (_picked(hand), _picked(hand, worst=True)) == (0, 1)


def test_the_latency_of_a_server_is_the_median_at_about_its_load() -> None:
    """Eight answers, of which those at 1 to 5 in flight are the five nearest to 3."""
    hand = Hand(PREQUAL)
    for rif, latency in ((1, 0.5), (2, 0.1), (3, 0.3), (4, 0.2), (5, 0.4), (20, 9.0), (30, 9.0), (40, 9.0)):
        hand.view.jobs["expected_s"][0] = rif
        hand.ended(1, latency)
    assert prequal.latency_at(hand.memory, 1, 3.0) == 0.3
    assert prequal.latency_at(hand.memory, 0, 3.0) == 0.0


def test_probes_ask_the_server_age_and_never_double() -> None:
    """Three servers and three probes a job: after one job all are in the pool, after a second still once each, and
    what is older than a second is gone before the next choice."""
    hand = Hand(PREQUAL)
    hand.view.truth.servers["running"] = (4, 5, 6)
    hand.choose(now_s=0.0)
    hand.choose(now_s=0.01)
    pool = hand.memory[prequal._AT_POOL :].reshape(-1)[: 3 * prequal._PROBE].reshape(3, prequal._PROBE)
    assert hand.memory[prequal._N_POOL] == 3
    assert sorted(pool[:, prequal._LANE]) == [0, 1, 2]
    assert sorted(pool[:, prequal._RIF]) == [4, 5, 6]
    hand.lanes["usable"] = False
    hand.choose(now_s=2.0)
    assert hand.memory[prequal._N_POOL] == 0
