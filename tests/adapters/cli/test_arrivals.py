"""Arrival times: open loop, of the asked rate and burstiness, the same for the same seed."""

from pathlib import Path

import numpy as np
import pytest

from tailwise.adapters.cli.arrivals import gamma_times, read_trace, trace_times
from tailwise.errors import ConfigError


def test_gamma_arrivals_have_the_asked_rate_and_burstiness() -> None:
    """Over n gaps the mean has relative error cv / sqrt(n); five of those are allowed."""
    times_s = gamma_times(np.random.default_rng(1), rate_per_s=200.0, cv=2.0, seconds=500.0)
    gaps = np.diff(times_s)
    assert abs(gaps.mean() * 200.0 - 1.0) < 5 * 2.0 / np.sqrt(len(gaps))
    assert 1.8 < gaps.std() / gaps.mean() < 2.2
    assert times_s[-1] < 500.0


def test_the_same_seed_gives_the_same_arrivals() -> None:
    first, second = (gamma_times(np.random.default_rng(7), 50.0, 2.0, 4.0) for _ in range(2))
    assert first.tolist() == second.tolist()


def test_a_trace_keeps_its_bursts_and_gets_the_asked_rate(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    bursts = [10.0 * burst + 0.01 * i for burst in range(400) for i in range(20)]
    path.write_text("id,t_s\n" + "".join(f"{i},{t}\n" for i, t in enumerate(bursts)))
    trace = read_trace(path)
    times_s = trace_times(np.random.default_rng(3), trace, rate_per_s=100.0, seconds=40.0)
    assert len(times_s) == pytest.approx(4000, rel=0.02)
    gaps = np.diff(times_s)
    assert np.mean(gaps < 1e-3) == pytest.approx(19 / 20, abs=0.01)


@pytest.mark.parametrize(
    ("column", "values", "expected"),
    [
        ("timestamp_ms", ["0", "1500", "500"], [0.0, 0.5, 1.5]),
        ("TIMESTAMP", ["2023-11-16 18:15:46.6805900", "2023-11-16 18:15:48.6805900"], [0.0, 2.0]),
    ],
)
def test_recorded_formats_are_read_as_seconds_from_the_first(
    tmp_path: Path, column: str, values: list[str], expected: list[float]
) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(f"{column},tokens\n" + "".join(f"{v},1\n" for v in values))
    assert read_trace(path).tolist() == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "t_s\n1\n", "t_s\n1\n1\n", "t_s\n1\nx\n"])
def test_an_unusable_trace_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.csv"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"broken\.csv"):
        read_trace(path)


def test_a_missing_trace_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.csv"):
        read_trace(tmp_path / "none.csv")
