"""Guarantee 13: absent is unknown. A report without a field never reads as zero load."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tailwise as tw
from tests.shared import attainment

VALUES = st.one_of(st.none(), st.just(math.nan), st.integers(0, 9))


def engine() -> tw.Engine:
    model = tw.Model("m", columns=(tw.Column("kv", scale=1.0, reported=True),))
    e = tw.Engine(
        [tw.Resource("r0")],
        [model],
        [tw.QoS("q", 5.0, contract="best_effort")],
        clock=tw.ManualClock(),
        seed=1,
    )
    for kv in (0.0, 1.0, 3.0, 9.0) * 3:
        e.report("r0", kv=kv)
        e.route("m", "q").select(()).complete(0.1 * (1.0 + kv))
    return e


def seen(e: tw.Engine) -> tuple[float, float]:
    (row,) = e.route("m", "q").peek(())
    return row.wait_s, row.service_s


@given(st.lists(st.fixed_dictionaries({"running": VALUES, "waiting": VALUES, "kv": VALUES}), max_size=6))
def test_a_report_without_a_field_never_reads_as_zero_load(reports: list[dict[str, float | None]]) -> None:
    """Any history of reports, at one moment. Then, for each field: leaving it out changes nothing that the field
    stands for, saying 0 frees the resource of it, and NaN (it became unknown) makes no job faster than 0 would."""
    e = engine()
    for report in reports:
        e.report("r0", **{k: v for k, v in report.items() if v is not None})
    before = seen(e)
    jobs = e._core.foreign(0)
    e.report("r0")
    assert seen(e) == before
    e.report("r0", waiting=jobs["waiting"])  # as it was: running and kv are not said
    assert seen(e) == pytest.approx(before)
    e.report("r0", running=jobs["running"])  # waiting and kv are not said
    assert seen(e) == pytest.approx(before)
    e.report("r0", kv=2.0)
    assert seen(e)[0] == pytest.approx(before[0])
    e.report("r0", kv=math.nan)
    unknown_s = seen(e)[1]
    e.report("r0", kv=0.0)
    assert seen(e)[1] < unknown_s
    e.report("r0", running=0, waiting=0)
    assert seen(e)[0] == 0.0


def test_silence_wears_a_report_out_slowly_and_an_empty_report_no_faster() -> None:
    silent, heard = engine(), engine()
    for e in (silent, heard):
        e.report("r0", running=1, waiting=8)
    for k in range(20):
        for e in (silent, heard):
            e.clock.advance(0.05)
        heard.report("r0", kv=9.0, at=0.05 * (k + 1))
        assert seen(heard)[0] == pytest.approx(seen(silent)[0])
        assert seen(heard)[0] > 0.0


@pytest.mark.parametrize("stale_s", [0.02, 0.05, 0.2])
def test_stale_reports_cost_little_where_own_dispatches_are_added(stale_s: float) -> None:
    """A second dispatcher sends half of the jobs, a third of them to a favourite of the moment; load .75, six
    resources of mean service 8 to 30 ms; three seeds of 4,000 own jobs, the same for all.

    On time within 60 ms, measured: without reports .985; with reports 20 / 50 / 200 ms old .997 / .995 / .991; by
    reports alone, own dispatches since then ignored, .925 / .817 / .459. The standard error of .99 over 12,000 jobs
    is .001 and the seeds are paired, so the bounds below leave two of them and more.
    """
    seeds = range(3)
    ours = np.mean([attainment("engine", stale_s, seed=s) for s in seeds])
    alone = np.mean([attainment("alone", stale_s, seed=s) for s in seeds])
    none = np.mean([attainment("none", stale_s, seed=s) for s in seeds])
    assert ours > none + 0.002
    assert ours > alone + 0.05
    assert ours > 0.985
