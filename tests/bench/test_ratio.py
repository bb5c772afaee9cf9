"""The rows of bench.ratio compare like with like."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from bench.growth import Point, plot
from bench.single import single_calls
from bench.streams import ON_TIME, BareStreams, Streams
from bench.subject import Subject


@pytest.fixture(scope="module")
def subject() -> Subject:
    return Subject(8, n_results=40)


@pytest.mark.parametrize("k", [8, 20])
def test_the_bare_loop_with_two_signals_decides_as_tailwise(k: int) -> None:
    """20 lanes: a block and a part of one. The bounds divide the lanes, else the filter would not be compared."""
    streams = Streams(k)
    assert streams.disagreements(BareStreams(streams)) == 0
    seen = [streams.route.peek(x, streams.Z) for x in streams.tuples]
    divided = [s for s in seen if s.excluded and min(c.p_raw for c in s) >= ON_TIME]
    assert len(divided) > 50


def test_with_stored_columns_nothing_is_unknown_or_given() -> None:
    stored = Subject(8, True, n_results=2, given=False)
    assert stored.Z is None
    assert stored.route.buffer().shape == (0, 8)
    rows = [stored.engine._core.served(0, lane)["columns"] for lane in range(8)]
    assert not np.isnan(rows).any()
    assert np.unique(np.array(rows)[:, -1]).size == 8


@pytest.mark.parametrize("bound", ["ttft_s", "tpot_s"])
def test_a_disagreement_would_be_seen(bound: str) -> None:
    streams = Streams(8)
    bare = BareStreams(streams)
    setattr(bare._decision, bound, 1.2 * getattr(bare._decision, bound))
    assert streams.disagreements(bare) > 0


def test_the_histogram_holds_every_call(subject: Subject) -> None:
    calls = single_calls(subject, 500)
    assert sum(count for _, _, count in calls.histogram) == 500
    assert calls.histogram[-1][0] <= calls.most <= calls.histogram[-1][1]
    assert calls.p50 <= calls.p99 <= calls.p999 <= calls.most
    assert str(calls).count("#\n") == len(calls.histogram) - 1
    assert subject.engine.in_flight == 0


def test_jobs_take_what_was_forecast_give_or_take(subject: Subject) -> None:
    tickets = subject.select()
    off = [np.log(s / t.median_s) for s, t in zip(subject.seconds_of(tickets), tickets, strict=True)]
    for ticket in tickets:
        ticket.cancel()
    assert 0.05 < np.std(off) < 0.2  # 100 numbers of sd .1


def test_growth_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [Point(8, 200.0, 400.0, 2.0), Point(4096, 9e3, 1e4, 1.1)]
    lines = []
    draw = Figure.savefig

    def seen(figure: Figure, *args: object, **options: object) -> None:
        lines.extend(line.get_ydata().tolist() for line in figure.axes[0].lines)
        draw(figure, *args, **options)

    monkeypatch.setattr(Figure, "savefig", seen)
    assert plot(points).startswith("<svg")
    assert lines == [[400.0, 1e4], [200.0, 9e3]]
