"""Raw numbers to encoded ones: the one place that select and complete share."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tailwise as tw
from tailwise._core import reference as ref

pytestmark = pytest.mark.usefixtures("each_path")

FEATURES = (tw.Feature("a", typical=7.0, knee=True), tw.Feature("b"), tw.Feature("c", typical=1e-3))
COLUMNS = (
    tw.Column("kv", scale=20.0, reported=True),
    tw.Column("own", scale=3.0),
    tw.Column("on", 4.0, "running"),
)
POSITIVE = st.floats(min_value=5e-324, max_value=1.7e308)
NOT_NEGATIVE = st.floats(min_value=0.0, max_value=1.7e308)


def engine(k: int = 3, **options: object) -> tw.Engine:
    return tw.Engine(
        [tw.Resource(f"r{i}", slots=2) for i in range(k)],
        [tw.Model("m", FEATURES, COLUMNS)],
        [tw.QoS("q", 1.0, contract="best_effort")],
        clock=tw.ManualClock(),
        seed=1,
        **options,
    )


@given(a=POSITIVE, b=NOT_NEGATIVE, c=POSITIVE)
def test_features_are_encoded_as_the_reference_says(a: float, b: float, c: float) -> None:
    """Logarithms agree to a few eps; ln cosh near 0 is a difference of numbers of size ln 2: absolute 1e-15."""
    e = engine()
    want = ref.encode_features((a, b, c), [7.0, 0.0, 1e-3], [True, False, False])
    ticket = e.route("m", "q").select((a, b, c))
    np.testing.assert_allclose(ticket.features[:5], want, rtol=1e-14, atol=1e-14)
    assert np.abs(ticket.features).max() <= 16.0
    ticket.cancel()


@pytest.mark.parametrize(
    ("u", "clips"), [((7.0, 0.0, 1e-3), 0), ((7e9, 1e9, 1e9), 4), ((1e-300, 0.0, 1.0), 2)]
)
def test_clipped_values_are_counted(u: tuple[float, float, float], clips: int) -> None:
    """a clips twice, as its logarithm and as its knee; ln(1 + 1e9) = 20.7 clips, ln(1 / 1e-3) = 6.9 does not."""
    e = engine()
    e.route("m", "q").select(u).cancel()
    assert e.counters["n_clipped"] == clips


@given(kv=NOT_NEGATIVE | st.just(math.nan), own=st.floats(0, 1e30) | st.just(math.nan))
def test_columns_are_encoded_as_the_reference_says(kv: float, own: float) -> None:
    """Stored columns are rounded to float32 once (6e-8); given ones are encoded in float32 (2e-7, absolute where
    ln(1 + v) starts at 1). An unknown column of a cold profile is taken as 0."""
    e = engine()
    route = e.route("m", "q")
    e.report("r1", kv=kv)
    Z = route.buffer()
    Z[0, 1] = own
    first = route.select((1.0, 0.0, 1.0), Z, mask=2)
    second = route.select((1.0, 0.0, 1.0), Z, mask=2)
    want = [0.0 if math.isnan(v) else ref.encode_column(v, s) for v, s in ((kv, 20.0), (own, 3.0))]
    np.testing.assert_allclose(first.features[5:7], want, rtol=3e-7, atol=3e-7)
    assert first.features[7] == 0.0
    assert second.features[7] == pytest.approx(math.log1p(1 / 4.0), rel=1e-6)
    first.cancel()
    second.cancel()


@given(values=st.lists(st.floats(0, 1e6) | st.just(math.nan), min_size=19, max_size=19))
def test_each_given_entry_reaches_its_own_lane(values: list[float]) -> None:
    """19 lanes: more than one block of 16, and not a whole number of vectors."""
    e = engine(19)
    Z = np.array([values])
    rows = e.route("m", "q").peek((1.0, 0.0, 1.0), Z)
    assert len(rows) == 19
    for row in rows:
        value = values[e.lane(row.resource.name)]
        want = 0.0 if math.isnan(value) else ref.encode_column(value, 3.0)
        assert row.features[6] == pytest.approx(want, rel=3e-7, abs=3e-7)


def test_an_unknown_column_is_the_profiles_mean_of_it_and_widens_the_forecast() -> None:
    model = tw.Model("m", columns=(tw.Column("kv", scale=1.0, reported=True),))
    e = tw.Engine([tw.Resource("r")], [model], [tw.QoS("q", 1.0)], clock=tw.ManualClock(), seed=1)
    route = e.route("m", "q")
    encoded = [0.5, 1.0, 1.5, 2.0]
    for z in encoded * 3:
        e.report("r", kv=math.expm1(z))
        route.select(()).complete(math.exp(z - 4.0))
    e.report("r", kv=math.expm1(float(np.mean(encoded))))
    (known,) = route.peek(())
    e.report("r", kv=math.nan)
    (unknown,) = route.peek(())
    assert unknown.features[1] == pytest.approx(np.mean(encoded), rel=1e-6)
    assert unknown.ln_service == pytest.approx(known.ln_service, rel=1e-6)
    slope = e._core.posterior(0, 0)["mean"][1]
    widened = unknown.spread**2 - known.spread**2
    assert widened == pytest.approx(slope**2 * np.var(encoded), rel=1e-4)


def test_complete_learns_the_row_that_the_decision_saw() -> None:
    """A report between select and complete must not change what is learned."""
    e = engine()
    route = e.route("m", "q")
    e.report("r0", kv=40.0)
    ticket = route.select((14.0, 1.0, 2e-3), mask=1)
    row = ticket.features
    e.report("r0", kv=0.0)
    ticket.complete(0.5)
    sums, y0 = e._core.sums(0, 0)
    d = len(row)
    np.testing.assert_array_equal(sums[: d * (d + 1) // 2], np.outer(row, row)[np.tril_indices(d)])
    assert y0 == pytest.approx(math.log(0.5))
