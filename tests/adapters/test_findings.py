"""The doctor: each finding on an engine that was brought into that state, and none on one that is well."""

from __future__ import annotations

import gc
import json
from types import SimpleNamespace

import pytest

import tailwise as tw
from tailwise.adapters.findings import Finding, doctor
from tests.adapters.served import Served


def found(world: Served) -> dict[str, Finding]:
    return {one.id: one for one in doctor(world.engine, world.journal)}


@pytest.fixture
def served() -> Served:
    world = Served()
    world.serve(60)
    assert doctor(world.engine, world.journal) == []
    return world


def test_an_engine_that_has_done_nothing_is_well() -> None:
    world = Served()
    assert doctor(world.engine, world.journal) == []
    assert doctor(world.engine) == []


@pytest.mark.parametrize("mode", ["shadow", "frozen", "bypass"])
def test_another_mode_is_told(served: Served, mode: tw.Mode) -> None:
    served.engine.mode(mode)
    assert (found(served)["mode"].severity, found(served)["mode"].evidence) == ("info", f"mode {mode}")


def test_a_rollout_in_part_is_told(served: Served) -> None:
    served.engine.mode("active", rollout=0.25)
    assert found(served)["mode"].evidence == "rollout 0.25"


def test_a_ticket_that_was_dropped_is_told(served: Served) -> None:
    served.urgent.select((100.0,))
    gc.collect()
    assert found(served)["abandoned"].evidence == "1 since the start"


def test_a_clock_that_went_back_is_told(served: Served) -> None:
    entry = served.send()
    served.clock.set(10.0)
    entry.complete()
    assert found(served)["untimed"].evidence == "1 since the start"


def test_a_feature_in_the_wrong_unit_is_told(served: Served) -> None:
    served.urgent.observe("fast", (1e12,)).complete(0.02)
    assert found(served)["clipped"].evidence == "1 values since the start"
    for _ in range(200):
        served.urgent.observe("fast", (1e8,)).complete(0.02)
    assert found(served)["far"].subject == "net.tokens"


def test_a_feature_that_never_varies_is_told_and_one_that_does_is_not() -> None:
    world = Served()
    world.serve(60, tokens=30.0)
    assert found(world)["constant"].subject == "net.tokens"
    world.serve(1, tokens=31.0)
    assert "constant" not in found(world)


def test_tickets_that_are_nearly_all_open_are_an_error() -> None:
    world = Served(max_tickets=10)
    held = [world.engine.route("llm", "chat").observe("fast", ()) for _ in range(9)]
    assert (found(world)["tickets_near_limit"].severity, found(world)["tickets_near_limit"].evidence) == (
        "error",
        "9 of 10",
    )
    held[0].cancel()
    assert "tickets_near_limit" not in found(world)


def test_a_fleet_that_cannot_grow_any_more_is_told() -> None:
    world = Served(max_resources=3)
    assert "resources_at_limit" not in found(world)
    world.engine.add(tw.Resource("third"))
    assert found(world)["resources_at_limit"].evidence == "3 of 3"


def test_claims_that_disagree_are_told(served: Served) -> None:
    """Every job fails, and each time somebody says that the resource was repaired: what is known of its availability
    is forgotten, and the next job is promised again."""
    for _ in range(400):
        entry = served.send()
        if entry.admitted:
            entry.fail()
            served.engine.changed(entry.resource or "")
        served.clock.advance(1.0)
    assert served.engine.certificate("urgent").disagree
    assert found(served)["disagree"].subject == "urgent"


def test_answers_of_which_nobody_said_the_first_token_are_told(served: Served) -> None:
    for _ in range(5):
        entry = served.journal.select(served.chat, ())
        served.clock.advance(0.1)
        entry.complete(tokens=10)
    finding = found(served)["untold"]
    assert (finding.subject, finding.evidence) == ("chat", "5 of 5")
    assert "first()" in finding.todo


def test_an_open_breaker_is_an_error(served: Served) -> None:
    for _ in range(3):
        served.urgent.observe("slow", (100.0,)).fail()
    first = doctor(served.engine, served.journal)[0]
    assert (first.severity, first.id, first.subject) == ("error", "ejected", "slow")
    assert "3 failures" in first.evidence


def test_jobs_that_hang_are_an_error(served: Served) -> None:
    held = [served.send(100.0) for _ in range(3)]
    served.clock.advance(30.0)
    served.send()  # a decision looks
    assert found(served)["overdue"].severity == "error"
    assert len(held) == 3


def test_a_resource_without_any_result_is_told(served: Served) -> None:
    served.engine.add(tw.Resource("new"))
    assert found(served)["no_result"].subject == "new"


def test_of_many_alike_a_few_are_told_and_the_others_counted(served: Served) -> None:
    for i in range(12):
        served.engine.add(tw.Resource(f"new-{i}"))
    alike = [one for one in doctor(served.engine) if one.id == "no_result"]
    assert [one.subject for one in alike] == [f"new-{i}" for i in range(8)]
    assert [one.evidence for one in alike[-2:]] == ["0 results", "0 results; 4 more are like it"]


def test_a_class_whose_jobs_are_all_refused_is_an_error_that_names_the_reasons(served: Served) -> None:
    served.clock.advance(61.0)
    for name in ("fast", "slow"):
        served.engine.drain(name)
    for _ in range(4):
        served.send()
    assert "all_refused" not in found(served)  # too few to say
    served.send()
    assert "no_resource 5" in found(served)["all_refused"].evidence
    served.clock.advance(61.0)
    assert "all_refused" not in found(served)


def test_a_class_of_which_no_job_is_on_time_is_an_error(served: Served) -> None:
    served.clock.advance(61.0)
    for _ in range(5):
        entry = served.send()
        if entry.admitted:
            entry.fail()
    assert {"none_on_time", "all_refused"} & found(served).keys() == {"none_on_time"}


def test_a_class_below_its_target_is_told_where_it_is_no_chance(served: Served) -> None:
    def fail(n: int) -> None:
        for _ in range(n):
            served.send().fail()
            served.serve(2)

    fail(5)  # 70 of 75 on time, with a target of 95%
    assert "below_target" not in found(served)
    served.clock.advance(61.0)
    fail(12)
    assert found(served)["below_target"].evidence.startswith("66.7% of 36, 0 of them refused")


def test_a_job_that_is_never_settled_is_told(served: Served) -> None:
    entry = served.send()
    served.clock.advance(61.0)
    assert (
        f"the oldest, {entry.decision.number} on {entry.resource}, for 61 s"
        in found(served)["open_long"].evidence
    )
    entry.cancel()
    assert "open_long" not in found(served)


def test_what_is_wrong_with_load_reports_is_told(served: Served) -> None:
    faults = [
        SimpleNamespace(resource="slow", what="waiting", kind="renamed", why="told by x", times=3),
        SimpleNamespace(resource="fast", what="report", kind="failed", why="refused", times=9),
    ]
    poller = SimpleNamespace(state=dict, faults=lambda: faults)
    told = doctor(served.engine, served.journal, poller)
    assert [(f.severity, f.id, f.subject) for f in told] == [
        ("error", "report_failed", "fast"),
        ("warning", "report_renamed", "slow"),
    ]
    assert told[0].evidence == "refused, 9 in a row"
    json.dumps([one.to_json() for one in told], allow_nan=False)
