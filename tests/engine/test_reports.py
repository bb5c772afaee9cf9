"""Counts of jobs that a resource reports: others' jobs take slots and make ours wait, less and less with age."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tailwise as tw
from tailwise._core import reference as ref

SERVICES = (0.08, 0.1, 0.12) * 4


def engine(slots: int = 1, k: int = 2, discipline: str = "fifo") -> tw.Engine:
    """At 1 s; every resource served SERVICES, known since 0 s."""
    e = tw.Engine(
        [tw.Resource(f"r{i}", slots=slots, discipline=discipline) for i in range(k)],  # type: ignore[arg-type]
        [tw.Model("m")],
        [tw.QoS("q", 5.0, contract="best_effort"), tw.QoS("strict", 0.5, priority=1)],
        clock=tw.ManualClock(),
        seed=1,
        max_resources=4,
    )
    for lane in range(k):
        for service_s in SERVICES:
            e.route("m", "q").select((), mask=1 << lane).complete(service_s)
    e.clock.advance(1.0)
    return e


def wait_s(e: tw.Engine, lane: int = 0) -> float:
    (row,) = e.route("m", "q").peek((), mask=1 << lane)
    return row.wait_s


@given(
    running=st.integers(0, 4), waiting=st.integers(0, 20), slots=st.integers(1, 4), age=st.floats(0.0, 5.0)
)
def test_others_jobs_make_ours_wait_as_the_specification_says(
    running: int, waiting: int, slots: int, age: float
) -> None:
    """On an idle resource; the report is age_s old when it is heard. float32 of the wait: 1e-6."""
    e = engine(slots)
    e.clock.advance(age)
    e.report("r0", running=running, waiting=waiting, at=1.0)
    want, _ = ref.foreign_ahead((running, waiting), age, SERVICES, slots, 0)
    assert wait_s(e) == pytest.approx(want, rel=1e-6, abs=1e-9)
    assert wait_s(e, 1) == 0.0


def test_how_unsure_others_jobs_are_enters_the_claim() -> None:
    e = engine()
    e.report("r0", running=1, waiting=5)
    want, want_var = ref.foreign_ahead((1, 5), 0.0, SERVICES, 1, 0)
    (row,) = e.route("m", "strict").peek((), mask=1)
    _, _, p = ref.forecast_total(row.ln_service, row.spread, row.dof, want, want_var, 0.5, row.availability)
    assert row.p_raw == pytest.approx(p, abs=1e-5)


ACTION = st.tuples(
    st.sampled_from(["select", "settle", "advance", "report"]), st.integers(0, 9), st.integers(0, 9)
)


@given(st.lists(ACTION, max_size=60))
def test_ours_at_the_time_of_the_report_are_not_taken_for_others(actions: list[tuple[str, int, int]]) -> None:
    """Any history of own jobs; a report, up to 0.9 s old, that counts exactly n jobs more than ours at its time:
    there are n others, however many of ours came or ended since. Two slots, first come, first served."""
    e = engine(slots=2)
    route = e.route("m", "q")
    now_s, last_s = 1.0, 0.0
    stays: list[list[float | None]] = []
    open_: list[tuple[tw.Ticket, list[float | None]]] = []
    for action, k, n in actions:
        if action == "select":
            stays.append([now_s, None, None])
            open_.append((route.select((), mask=1), stays[-1]))
        elif action == "settle" and open_:
            ticket, stay = open_.pop(k % len(open_))
            ticket.cancel()
            stay[2] = now_s
        elif action == "advance":
            e.clock.advance(0.1 * k)
            now_s = e.clock.now_ns() * 1e-9
        elif action == "report":
            at_s = max(round(now_s - 0.1 * k, 1) + 0.05, last_s)
            if at_s > now_s:
                continue
            last_s = at_s
            running, waiting = ref.own_at(stays, at_s)
            e.report(
                "r0",
                running=min(2, running + waiting + n),
                waiting=max(running + waiting + n - 2, 0),
                at=at_s,
            )
            counted = e._core.foreign(0)
            assert counted["running"] + counted["waiting"] == n
        for _, stay in open_:  # starts are inferred from the slots, in order of arrival
            if stay[1] is None and sum(s[1] is not None for _, s in open_) < 2:
                stay[1] = now_s


def test_own_jobs_sent_since_the_report_are_added() -> None:
    """One other's job was running at 1 s; we sent two at 1.1 s; the report arrives at 1.2 s."""
    e = engine()
    e.clock.advance(0.1)
    tickets = [e.route("m", "q").select((), mask=1) for _ in range(2)]
    own = wait_s(e)
    e.report("r0", running=1, waiting=0, at=1.0)
    others, _ = ref.foreign_ahead((1, 0), 0.1, SERVICES, 1, 1)
    assert wait_s(e) == pytest.approx(own + others, rel=1e-5)
    del tickets


def test_a_report_of_our_own_jobs_only_changes_no_forecast() -> None:
    e = engine()
    tickets = [e.route("m", "q").select((), mask=1) for _ in range(4)]
    before = wait_s(e)
    e.report("r0", running=1, waiting=3)
    assert wait_s(e) == before
    e.report("r0", running=0, waiting=0)  # it has not heard of ours yet: they are no fewer for that
    assert wait_s(e) == before
    del tickets


def test_what_waits_in_our_own_queue_is_not_on_the_resource() -> None:
    """discipline "priority": the resource knows of started jobs only, so what it reports beyond them is others'."""
    e = engine(discipline="priority")
    tickets = [e.route("m", "q").select((), mask=1) for _ in range(3)]
    tickets[0].start()
    e.report("r0", running=1, waiting=2)
    assert e._core.foreign(0)["waiting"] == 2.0
    assert e._core.foreign(0)["running"] == 0.0
    del tickets


@pytest.mark.parametrize("start_s", [-7.0, 0.0, 7.0])
@pytest.mark.parametrize("discipline", ["fifo", "priority"])
def test_a_job_has_started_whatever_the_clock_then_read(start_s: float, discipline: str) -> None:
    """Zero and less are moments as any other: neither an open nor an ended job that started then is others'."""
    e = tw.Engine(
        [tw.Resource("r0", slots=2, discipline=discipline)],  # type: ignore[arg-type]
        [tw.Model("m")],
        [tw.QoS("q", 5.0, contract="best_effort")],
        clock=tw.ManualClock(start_s),
        seed=1,
    )
    tickets = [e.route("m", "q").select(()) for _ in range(2)]
    for ticket in tickets:
        ticket.start()
    e.clock.advance(1.0)
    tickets[0].cancel()
    e.report("r0", running=2, at=start_s + 0.5)
    assert e._core.foreign(0)["running"] == 0.0
    tickets[1].cancel()


def test_a_job_that_moves_was_on_the_one_resource_before_and_is_on_the_other_since() -> None:
    """Both at 1.15 s, when three of ours were on r0 and none on r1; heard at 1.2 s, after one moved at 1.15 s."""
    e = engine()
    tickets = [e.route("m", "q").select((), mask=1) for _ in range(3)]
    e.clock.advance(0.15)
    assert tickets[2].reconsider()
    e.clock.advance(0.05)
    for at, on_r0, on_r1 in ((1.1, 3, 0), (1.2, 2, 1)):
        for name, lane, ours in (("r0", 0, on_r0), ("r1", 1, on_r1)):
            e.report(name, running=min(ours, 1), waiting=max(ours - 1, 0) + 5, at=at)
            counted = e._core.foreign(lane)
            assert (name, counted["running"] + counted["waiting"]) == (name, 5.0)
    del tickets


def test_a_job_that_moved_starts_no_sooner_than_it_came() -> None:
    """Nobody said when it started: what it waited elsewhere is none of its service."""
    e = engine(discipline="priority")
    tickets = [e.route("m", "q").select((), mask=1) for _ in range(3)]
    e.clock.advance(60.0)
    assert tickets[2].reconsider()
    e.clock.advance(0.1)
    before = e.profile("r1", "m").median_s
    tickets[2].complete()
    assert e.profile("r1", "m").median_s == pytest.approx(before, rel=0.01)
    del tickets


def test_a_free_slot_still_means_no_wait() -> None:
    e = engine(slots=3)
    e.report("r0", running=2, waiting=0)
    assert wait_s(e) == 0.0
    ticket = e.route("m", "q").select((), mask=1)
    assert wait_s(e) > 0.0
    ticket.cancel()


def test_a_report_is_worth_less_with_age_until_only_our_own_jobs_count() -> None:
    e = engine()
    ticket = e.route("m", "q").select((), mask=1)
    e.report("r0", running=1, waiting=9)
    seen = []
    for _ in range(30):
        e.clock.advance(0.3)
        e.route("m", "q").select((), mask=1).cancel()  # whoever comes looks again where a line has run out
        seen.append(e._core.foreign(0)["worth"])
    assert seen == sorted(seen, reverse=True)
    assert seen[-1] < 1e-4
    ticket.cancel()
    assert wait_s(e) < 1e-3


def test_others_jobs_send_ours_elsewhere() -> None:
    e = engine()
    e.report("r0", running=1, waiting=3)
    assert {e.route("m", "q").select(()).resource.name for _ in range(3)} == {"r1"}


def test_a_line_that_has_run_out_is_drawn_again_before_others_jobs_are_forgotten() -> None:
    """Straight down the line would reach 0 at 8 mean services, .8 s, where exp(-1) of the jobs still counts."""
    e = engine()
    e.report("r0", running=1, waiting=9)
    e.clock.advance(0.85)
    want, _ = ref.foreign_ahead((1, 9), 0.85, SERVICES, 1, 0)
    ticket = e.route("m", "q").select((), mask=1)
    assert ticket.wait_s == pytest.approx(want, rel=1e-6)
    ticket.cancel()


def test_a_report_from_the_future_is_one_of_now() -> None:
    e = engine()
    e.report("r0", running=1, waiting=4, at=99.0)
    want, _ = ref.foreign_ahead((1, 4), 0.0, SERVICES, 1, 0)
    assert wait_s(e) == pytest.approx(want, rel=1e-6)


def test_a_report_from_the_future_or_from_before_the_clock_went_back_mutes_no_later_one() -> None:
    """Seconds since 1970 are the usual mistake."""
    e = engine()
    e.report("r0", waiting=4, at=1.7e9)
    e.clock.advance(1.0)
    e.report("r0", waiting=5, at=e.clock.now_ns() * 1e-9)
    assert e._core.foreign(0)["waiting"] == 5
    e.clock.set(0.5)
    e.report("r0", waiting=6, at=0.5)
    assert e._core.foreign(0)["waiting"] == 6
    e.report("r0", waiting=7, at=0.4)
    assert e._core.foreign(0)["waiting"] == 6


def test_before_any_result_others_jobs_take_what_is_believed_of_the_models_that_run_there() -> None:
    e = tw.Engine(
        [tw.Resource("r0"), tw.Resource("r1")],
        [tw.Model("m"), tw.Model("elsewhere", resources=("r1",))],
        [tw.QoS("q", 5.0)],
        profiles=[tw.Profile("r0", "m", 0.2, 0.1, 100.0)],
        clock=tw.ManualClock(),
        seed=1,
    )
    e.report("r0", running=0, waiting=3)
    assert wait_s(e) == pytest.approx(0.6, rel=0.01)


def test_a_column_of_the_same_name_hears_the_report_too() -> None:
    model = tw.Model("m", columns=(tw.Column("running", scale=1.0, reported=True),))
    e = tw.Engine([tw.Resource("r0")], [model], [tw.QoS("q", 5.0)], clock=tw.ManualClock(), seed=1)
    e.report("r0", running=3)
    (row,) = e.route("m", "q").peek(())
    assert math.expm1(row.features[1]) == pytest.approx(3.0)
    assert row.wait_s > 0.0


def test_a_resource_that_comes_back_starts_without_its_old_reports() -> None:
    e = engine()
    e.report("r0", running=1, waiting=9)
    e.remove("r0")
    e.add(tw.Resource("r0"))
    assert wait_s(e) == 0.0


@pytest.mark.parametrize("name", ["running", "waiting"])
@pytest.mark.parametrize("value", [-1, math.inf, "1", None])
def test_a_refused_count_changes_nothing(name: str, value: object) -> None:
    e = engine()
    before = e._core.snapshot()
    with pytest.raises(tw.InputError, match=name):
        e.report("r0", **{name: value})  # type: ignore[arg-type]
    assert e._core.snapshot() == before
