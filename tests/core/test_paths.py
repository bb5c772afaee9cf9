"""Every version of the kernels, lane by lane against the reference, and all alike in what they choose and refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tailwise as tw
from tailwise._core import core
from tailwise._core import reference as ref
from tests.paths import PATHS, on_path
from tests.states import SEEDS, SIZES, decided_now
from tests.twin import LEVELS, Twin

ENTRIES = st.floats(0.0, 1e30) | st.sampled_from([math.nan, 0.0, 5e-324, 1e-45, 1e-38, 1e30])
ROWS = st.lists(ENTRIES, min_size=1, max_size=35)  # two blocks of 16, and not a whole number of vectors
ABOVE = math.nextafter(1e30, math.inf)
each = pytest.mark.usefixtures("each_path")


def engine(k: int) -> tw.Engine:
    """Of one class and one model with one given column of scale 3."""
    model = tw.Model("m", columns=(tw.Column("own", scale=3.0),))
    resources = [tw.Resource(f"r{i}", slots=2) for i in range(k)]
    return tw.Engine(resources, [model], LEVELS, clock=tw.ManualClock(), seed=1)


@each
@given(values=ROWS)
def test_given_entries_are_encoded_as_the_reference_says(values: list[float]) -> None:
    """ln(1 + v) in float32: 3e-7, absolute where it starts at 1. An unknown one of a cold profile is taken as 0."""
    e = engine(len(values))
    seen = {row.resource.name: row.features[1] for row in e.route("m", "urgent").peek((), np.array([values]))}
    want = [0.0 if math.isnan(v) else ref.encode_column(v, 3.0) for v in values]
    np.testing.assert_allclose([seen[f"r{i}"] for i in range(len(values))], want, rtol=3e-7, atol=3e-7)


@each
@given(values=ROWS, at=st.integers(0, 34), bad=st.sampled_from([-1.0, -5e-324, -math.inf, ABOVE, math.inf]))
def test_a_bad_entry_is_found_wherever_it_stands(values: list[float], at: int, bad: float) -> None:
    e = engine(len(values))
    values[at % len(values)] = bad
    with pytest.raises(tw.InputError, match="negative or above 1e30"):
        e.route("m", "urgent").select((), np.array([values]))
    assert e.in_flight == 0


@each
@given(k=st.integers(1, 300), bits=st.integers(1, 2**300 - 1))
@settings(max_examples=60)
def test_equals_are_counted_over_the_mask(k: int, bits: int) -> None:
    """k equal idle lanes, of which a mask leaves some: the generator draws among these and no others."""
    mask = bits & (1 << k) - 1 or 1
    twin = Twin(tw.Model("m"), [tw.Resource(f"r{i}") for i in range(k)], seed=3)
    ticket = twin.routes[0].select((), mask=mask)
    assert mask >> ticket.lane & 1
    assert ticket.propensity == pytest.approx(1.0 / mask.bit_count())


@each
@given(k=st.integers(1, 300), at=st.integers(0, 299), far_s=st.sampled_from([1.0, 1e6, 1e30]))
@settings(max_examples=60)
def test_the_least_is_found_wherever_it_stands(k: int, at: int, far_s: float) -> None:
    """One of k equal lanes is near, the others have an offset."""
    at %= k
    resources = [tw.Resource(f"r{i}", offset_s=0.0 if i == at else far_s) for i in range(k)]
    twin = Twin(tw.Model("m"), resources, seed=3)
    assert twin.select(()).lane == at


@given(k=SIZES, seed=SEEDS)
@settings(max_examples=60)
def test_every_path_ranks_and_weighs_as_the_reference_does(k: int, seed: int) -> None:
    """Lane by lane, where no job queues: the crowd holds the waits that those were told when they came, which the
    plain record has only nearly. `error` is what d + 3 roundings of float32 and exp are off by, 10 where that makes a
    lane late or not; a wait is beside it right to 1e-5. Between paths, which sum the same terms with fused products
    or without, twice the error at most."""
    twin, _, u, Z, level = decided_now(k, seed)
    seen = twin.candidates(u, level, Z)
    weighed = []
    for path in PATHS:
        with on_path(path):
            weighed.append(twin.routes[level]._weigh(u, Z))
    left = np.isfinite(seen.cost_s)
    error = seen.error[left]
    alone = np.array([all(job.start_s is not None for job in jobs) for jobs in twin.jobs]) & left
    alone &= np.array(twin.tried)  # what was not is favoured by a decision
    spread = np.sqrt(np.minimum(weighed[0]["var"][left], 1.0))
    for path in weighed:
        assert np.all(np.isfinite(path["rank_s"]) == left)
        assert np.all(np.abs(path["rank_s"][alone] / seen.cost_s[alone] - 1.0) <= seen.error[alone] + 1e-5)
        for name in ("rank_s", "mean_s"):
            assert np.all(np.abs(path[name][left] / weighed[0][name][left] - 1.0) <= 2.0 * error)
        for name in ("var", "model_var"):
            np.testing.assert_allclose(path[name][left], weighed[0][name][left], rtol=2e-5)
        off = np.abs(path["on_time"][left] - weighed[0]["on_time"][left])
        assert np.all(off <= 0.8 * error / spread + 1e-5)


def test_an_unknown_path_is_refused_by_name() -> None:
    before = core.path()
    with pytest.raises(tw.InputError, match="'sse9'"):
        core.use_path("sse9")
    assert core.path() == before
    assert before == PATHS[-1]
