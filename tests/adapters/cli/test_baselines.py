"""The baselines decide on what they are described to decide on."""

import math

import pytest

from tailwise.adapters.cli.baselines import BASELINES, LeastOutstanding, PeakEwma, RoundRobin, baseline
from tailwise.errors import UnknownName

LANES = {"m": [0, 1, 2]}


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_round_robin_takes_each_in_turn_and_skips_masked_lanes() -> None:
    policy = RoundRobin(LANES, 0, Clock())
    assert [policy.assign("m", "q", (), None).lane for _ in range(6)] == [0, 1, 2, 0, 1, 2]
    assert {policy.assign("m", "q", (), 0b101).lane for _ in range(4)} == {0, 2}


def test_least_outstanding_never_chooses_a_lane_with_more_open_jobs() -> None:
    policy = LeastOutstanding(LANES, 0, Clock())
    assignments = [policy.assign("m", "q", (), None) for _ in range(3)]
    assert sorted(a.lane for a in assignments) == [0, 1, 2]
    policy.ended(assignments[1], "completed", 0.1, 0.1)
    assert policy.assign("m", "q", (), None).lane == assignments[1].lane


def test_peak_ewma_takes_a_peak_at_once_and_forgets_it_by_time() -> None:
    """Finagle's PeakEwma: cost jumps to a higher latency, then falls by exp(-dt / 10 s) towards lower ones."""
    clock = Clock()
    policy = PeakEwma(LANES, 0, clock)
    policy.observe(0, 1.0)
    assert policy.load_s(0) == pytest.approx(1.0)
    clock.now_s = 10.0
    assert policy.load_s(0) == pytest.approx(math.exp(-1.0))
    clock.now_s = 20.0
    policy.observe(0, 0.1)
    assert policy.load_s(0) == pytest.approx(math.exp(-2.0) + (0.1 - 0.1 * math.exp(-1.0)))


def test_peak_ewma_counts_open_jobs_and_penalises_a_busy_stranger() -> None:
    clock = Clock()
    policy = PeakEwma({"m": [0, 1]}, 0, clock)
    first = policy.assign("m", "q", (), None)
    assert policy.load_s(first.lane) > 1e8
    assert policy.assign("m", "q", (), None).lane != first.lane
    policy.ended(first, "completed", 0.5, 0.5)
    assert policy.load_s(first.lane) == pytest.approx(0.5)
    policy.assign("m", "q", (), 1 << first.lane)
    assert policy.load_s(first.lane) == pytest.approx(1.0)


def test_a_failed_job_teaches_no_latency_but_frees_its_place() -> None:
    policy = PeakEwma({"m": [0]}, 0, Clock())
    policy.ended(policy.assign("m", "q", (), None), "failed", 0.0, 1e-6)
    assert policy.load_s(0) == 0.0


@pytest.mark.parametrize("name", BASELINES)
def test_without_a_usable_lane_the_job_is_refused(name: str) -> None:
    policy = baseline(name, LANES, 0, Clock())
    assert policy.assign("m", "q", (), 0).reason == "no_resource"


def test_an_unknown_policy_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="round_robin"):
        baseline("magic", LANES, 0, Clock())
