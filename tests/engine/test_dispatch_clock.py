"""The clock under a dispatch and under reports."""

from __future__ import annotations

import tailwise as tw
from tailwise.dispatch import Dispatch
from tailwise.policy import Learned

SECOND = 1_000_000_000
QOS = tw.QoS("q", 5.0)


def test_a_clock_that_goes_back_loses_neither_the_job_nor_its_slot() -> None:
    clock = tw.ManualClock(10.0)
    engine = tw.Engine([tw.Resource("r", discipline="priority")], [tw.Model("m")], [QOS], clock=clock, seed=1)
    dispatch: Dispatch[str] = Dispatch([1], Learned(engine))
    job, orders = dispatch.submit("a", "m", QOS, (), 10 * SECOND)
    clock.set(3.0)
    dispatch.ended(orders.start[0], "completed", 3 * SECOND)
    assert job.end == "completed"
    assert engine.in_flight == len(dispatch) == 0
    _, orders = dispatch.submit("b", "m", QOS, (), 3 * SECOND)
    assert [run.job.payload for run in orders.start] == ["b"]


def test_a_report_without_a_time_is_of_now_and_an_older_one_is_ignored() -> None:
    model = tw.Model("m", columns=(tw.Column("kv", scale=0.5, reported=True),))
    engine = tw.Engine([tw.Resource("r")], [model], [QOS], clock=tw.ManualClock(100.0), seed=1)
    engine.report("r", kv=0.9)
    before = engine._core.snapshot()
    engine.report("r", kv=0.1, at=50.0)
    assert engine._core.snapshot() == before
    engine.report("r", kv=0.1, at=101.0)
    assert engine._core.snapshot() != before
