"""Two signals against reference.py: each its own posterior on the same rows, lengths pooled, bounds combined."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tailwise as tw
from tailwise._core import reference as ref
from tests.states import SEEDS

LLM = tw.Model(
    "llm",
    features=(tw.Feature("prompt_tokens", typical=512, knee=True), tw.Feature("images")),
    columns=(
        tw.Column("ahead", 512, tracked="prefill_tokens", plus="uncached", square=True),
        tw.Column("hit", 1.0),
    ),
    signals=("ttft", "tpot"),
)
BOUNDS = {
    "both": tw.QoS("both", ttft_s=0.5, tpot_s=0.03, contract="best_effort"),
    "first": tw.QoS("first", ttft_s=0.4, contract="best_effort"),
    "end": tw.QoS("end", deadline_s=5.0, contract="best_effort"),
    "all": tw.QoS("all", deadline_s=9.0, ttft_s=0.6, tpot_s=0.05, contract="best_effort"),
}
N_REQUEST = 4


def taught(
    seed: int, n: int
) -> tuple[tw.Engine, tw.ManualClock, dict[tuple[int, int], ref.Evidence], ref.Evidence]:
    """Two taught resources and a cold one; the rows that each signal and the lengths saw."""
    rng, clock = np.random.default_rng(seed), tw.ManualClock()
    e = tw.Engine(
        [tw.Resource(f"r{i}", slots=2) for i in range(3)],
        [LLM],
        list(BOUNDS.values()),
        clock=clock,
        seed=seed,
        tau_s=math.inf,
        detect_change=False,
        health=None,
    )
    route = e.route("llm", "both")
    rows = {(lane, signal): ref.Evidence.none(LLM.d) for lane in range(3) for signal in (0, 1)}
    lengths = ref.Evidence.none(N_REQUEST)
    for k in range(n):
        lane, tokens = k % 2, int(rng.integers(1, 400))
        u = (float(512 * np.exp(rng.normal())), float(rng.integers(3)))
        ticket = route.select(u, random_given(rng), mask=1 << lane)
        x, first_s = ticket.features, float(rng.exponential(0.3))
        end_s = first_s + (tokens - 1) * float(rng.exponential(0.02))
        kind = rng.integers(5)
        if kind > 0:
            ticket.first(first_s)
            rows[lane, 0] = ref.observe(rows[lane, 0], x, math.log(first_s))
        if kind in (0, 1, 2):
            ticket.complete(end_s, tokens=tokens)
            lengths = ref.observe(lengths, x[:N_REQUEST], math.log(tokens))
            if kind > 0 and tokens > 1:
                y = math.log((end_s - first_s) / (tokens - 1))
                rows[lane, 1] = ref.observe(rows[lane, 1], x, y)
        elif kind == 3:
            ticket.complete(end_s)
        else:
            ticket.fail()
    return e, clock, rows, lengths


def random_given(rng: np.random.Generator) -> np.ndarray:
    return np.where(rng.random((2, 3)) < 0.2, np.nan, rng.exponential(400.0, (2, 3)))


@given(seed=SEEDS, n=st.integers(0, 60))
def test_each_signal_is_the_closed_form_of_what_was_said_of_it(seed: int, n: int) -> None:
    """To 1e-9; the row is the decision's for both. The pool is the other resources' data of the same signal."""
    e, _, rows, _ = taught(seed, n)
    for (lane, signal), data in rows.items():
        others = [rows[r, signal] for r in range(3) if r != lane]
        usual = ref.LN_TPOT if signal else 0.0
        want = ref.posterior(data, ref.prior_of(others, LLM.d, 3, usual=usual))
        got = e._core.posterior(0, lane, signal)
        np.testing.assert_allclose(got["mean"], want.mean, rtol=1e-9, atol=1e-9)
        assert got["scale2"] == pytest.approx(want.scale2, rel=1e-9)
        assert got["n"] == pytest.approx(data.n)


@given(seed=SEEDS, n=st.integers(0, 60), size=st.floats(1.0, 1e5), images=st.floats(0, 9))
def test_lengths_are_one_regression_over_all_resources_on_the_request_alone(
    seed: int, n: int, size: float, images: float
) -> None:
    """Rebuilt once an eighth is new, so the last rows may be missing: the posterior is that of some recent prefix."""
    e, _, _, lengths = taught(seed, n)
    x = ref.encode_features((size, images), [512, 0], [True, False])
    got = e.length("llm", (size, images))
    candidates = []
    for back in range(max(1, math.ceil(lengths.n / 8))):
        keep = len(lengths.y) - back
        seen = ref.Evidence(lengths.X[:keep], lengths.y[:keep], lengths.w[:keep])
        belief = ref.posterior(seen, ref.vague(N_REQUEST, 0, ref.LN_TOKENS))
        spread = math.sqrt(belief.scale2 * (1 + x @ belief.covariance @ x))
        candidates.append((min(max(belief.mean @ x, 0.0), 16.0), spread, belief.dof))
    assert any(
        (got.location, got.spread, got.dof) == pytest.approx(c, rel=1e-8, abs=1e-8) for c in candidates
    )
    assert got.n == pytest.approx(lengths.n)


@pytest.mark.parametrize("name", BOUNDS)
@given(seed=SEEDS, n=st.integers(0, 60), waited_s=st.floats(0, 0.3), queued=st.integers(0, 5))
def test_the_claim_is_what_the_bounds_leave(
    name: str, seed: int, n: int, waited_s: float, queued: int
) -> None:
    """1 - the sum of what each bound misses, times availability; all budgets count from arrival. Jobs ahead are
    waited for until their answers end. The signals' own forecasts are taken from peek, whose first one
    test_served.py holds to reference.py."""
    e, clock, _, _ = taught(seed, n)
    clock.set(10.0)
    rng, qos = np.random.default_rng(seed), BOUNDS[name]
    route, Z = e.route("llm", name), random_given(np.random.default_rng(seed))
    held: list[tuple[tw.Ticket, tuple[float, float]]] = []
    for _ in range(queued):
        rows = {row.resource: row for row in everybody(route.peek((300.0, 0.0), Z))}
        ticket = route.select((300.0, 0.0), Z)
        held.append((ticket, ref.occupation(busy_of(e, rows[ticket.resource], (300.0, 0.0)))))
    u = (float(512 * np.exp(rng.normal())), 1.0)
    for row in everybody(route.peek(u, Z, arrival_s=10.0 - waited_s)):
        assert row.ln_tpot is not None
        assert row.tpot_spread is not None
        jobs = [job for ticket, job in held if ticket.resource is row.resource]
        running, waiting = [(m, s, 0.0) for m, s in jobs[:2]], [(0, m, s) for m, s in jobs[2:]]
        wait = ref.wait(running, waiting, 2, 0, True)
        first, busy = ref.moments(row.ln_service, row.spread), busy_of(e, row, u)
        assert row.busy_s == pytest.approx(busy[0], rel=1e-6)
        assert row.wait_s == pytest.approx(wait[0], rel=1e-5)
        tpot_dof = float(e._core.served(0, e.lane(row.resource.name), 1)["dof"])
        holds = []
        if qos.ttft_s < math.inf:
            time = (first[0] + wait[0], first[1] + wait[1])
            holds.append(ref.p_within(time, qos.ttft_s - waited_s, row.dof))
        if qos.deadline_s < math.inf:
            time = (busy[0] + wait[0], busy[1] + wait[1])
            holds.append(ref.p_within(time, qos.deadline_s - waited_s, min(row.dof, tpot_dof)))
        if qos.tpot_s < math.inf:
            holds.append(ref.student_cdf((math.log(qos.tpot_s) - row.ln_tpot) / row.tpot_spread, tpot_dof))
        assert row.p_raw == pytest.approx(ref.p_all(holds, row.availability), abs=5e-5)
        ticket = route.select(u, Z, mask=1 << e.lane(row.resource.name), arrival_s=10.0 - waited_s)
        assert ticket.p_raw == row.p_raw
        assert ticket.end_s == pytest.approx(row.wait_s + busy[0], rel=1e-6)
        bounded = first if qos.ttft_s < math.inf else busy
        assert ticket.expected_s == pytest.approx(row.wait_s + bounded[0], rel=1e-6)
        ticket.cancel()
    for ticket, _ in held:
        ticket.cancel()


@given(seed=SEEDS, n=st.integers(20, 80), size=st.floats(30.0, 5000.0))
def test_bounds_of_all_candidates_at_once_are_those_of_each_looked_at_closely(
    seed: int, n: int, size: float
) -> None:
    """decide compares P in float32 and takes spreads of a pace as at most 1; below that the two agree to 1e-3."""
    e, _, _, _ = taught(seed, n)
    route = e.route("llm", "both")
    Z = np.nan_to_num(random_given(np.random.default_rng(seed)), nan=5.0)
    seen = route._weigh((size, 1.0), Z)["on_time"]
    for row in everybody(route.peek((size, 1.0), Z)):
        if row.tpot_spread is not None and row.tpot_spread < 1.0:
            assert seen[e.lane(row.resource.name)] == pytest.approx(row.p_raw, abs=1e-3)


def everybody(seen: tw.Explanation) -> tuple[tw.Candidate, ...]:
    """Those that a bound on the pace keeps out, too."""
    return (*seen.candidates, *seen.excluded)


def busy_of(e: tw.Engine, row: tw.Candidate, u: tuple[float, float]) -> ref.Moments:
    length = e.length("llm", u)
    return ref.busy(
        ref.moments(row.ln_service, row.spread),
        ref.moments(row.ln_tpot, row.tpot_spread),
        ref.moments(length.location, length.spread),
    )
