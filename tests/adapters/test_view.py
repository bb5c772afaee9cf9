"""The picture of an engine: complete, plain JSON, and true."""

from __future__ import annotations

import json
import threading
from types import SimpleNamespace
from typing import Any

import pytest

import tailwise as tw
from tailwise.adapters.curves import curves, spreads
from tailwise.adapters.findings import doctor
from tailwise.adapters.view import SCHEMA, snapshot, why
from tests.adapters.served import Served


@pytest.fixture
def served() -> Served:
    world = Served()
    world.serve(60)
    return world


def by_name(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {row["name"]: row for row in rows}


def test_it_is_plain_json_even_of_an_engine_that_has_done_nothing() -> None:
    world = Served()
    for seen in (snapshot(world.engine, world.journal), snapshot(world.engine)):
        assert json.loads(json.dumps(seen, allow_nan=False)) == json.loads(json.dumps(seen))
        assert seen["schema"] == SCHEMA
        assert [c["certificate"]["observed"] for c in seen["classes"]] == [None, None]
    assert [c["jobs"] for c in snapshot(world.engine)["classes"]] == [None, None]


def test_a_class_tells_what_was_offered_kept_and_claimed(served: Served) -> None:
    seen = by_name(snapshot(served.engine, served.journal)["classes"])["urgent"]
    assert seen["bounds"] == {"deadline_s": 0.5, "ttft_s": None, "tpot_s": None}
    jobs = seen["jobs"]
    assert (jobs["offered"], jobs["known"], jobs["open"]) == (60, 60, 0)
    assert jobs["recent"]["attainment"] == jobs["on_time"] / 60
    assert sum(offered for offered, *_ in jobs["by_second"]) == 60
    certificate = served.engine.certificate("urgent")
    assert seen["certificate"]["claimed"] == certificate.claimed
    assert seen["certificate"]["disagree"] is certificate.disagree


def test_a_resource_tells_its_load_share_wait_health_and_profiles(served: Served) -> None:
    entries = [served.send() for _ in range(6)]
    served.engine.drain("slow")
    for _ in range(3):
        served.engine.route("llm", "chat").observe("slow", ()).fail()
    seen = by_name(snapshot(served.engine, served.journal)["resources"])
    fast, slow = seen["fast"], seen["slow"]
    assert fast["running"] + fast["queued"] == sum(e.resource == "fast" for e in entries)
    assert fast["share"] + slow["share"] == pytest.approx(1.0)
    assert fast["decided"] > slow["decided"]
    assert (fast["drained"], slow["drained"]) == (False, True)
    assert (fast["health"]["state"], slow["health"]["state"]) == ("closed", "open")
    assert slow["health"]["retry_in_s"] > 0.0
    assert fast["wait_s"].keys() == {"urgent", "chat"}
    [net, ttft, tpot] = fast["profiles"]
    assert (net["model"], ttft["signal"], tpot["signal"]) == ("net", "ttft", "tpot")
    profile = served.engine.profile("fast", "net")
    assert net["p99_s"] == profile.quantile(0.99)
    assert net["n_results"] == profile.n_results > 50


def test_headroom_is_told_by_class_where_somebody_knows_it(served: Served) -> None:
    known = {"urgent": 0.35, "chat": None}
    seen = snapshot(served.engine, served.journal, headroom=known.get)
    assert {c["name"]: c["headroom"] for c in seen["classes"]} == known


def test_to_look_changes_nothing(served: Served) -> None:
    served.send()
    before = served.engine._core.snapshot()
    snapshot(served.engine, served.journal)
    curves(served.engine)
    assert served.engine._core.snapshot() == before


def test_what_a_resource_reports_stands_beside_it(served: Served) -> None:
    state = SimpleNamespace(age_s=0.5, values={"waiting": 3.0, "running": float("nan")})
    poller = SimpleNamespace(state=lambda: {"fast": state}, faults=list)
    seen = by_name(snapshot(served.engine, served.journal, poller)["resources"])
    assert seen["fast"]["report"] == {"age_s": 0.5, "values": {"waiting": 3.0, "running": None}}
    assert seen["slow"]["report"] is None


def test_of_a_large_fleet_those_in_trouble_are_shown_first() -> None:
    engine = tw.Engine(
        [tw.Resource(f"r{i}") for i in range(40)], [tw.Model("net")], [tw.QoS("q", 1.0)], seed=1
    )
    for _ in range(3):
        engine.route("net", "q").observe("r37", ()).fail()
    seen = snapshot(engine, most=4)
    assert len(seen["resources"]) == 4
    assert seen["left_out"] == 36
    assert seen["resources"][-1]["name"] == "r37"
    assert seen["resources"][-1]["health"]["state"] == "open"
    assert all(r["wait_s"].keys() == {"q"} for r in seen["resources"])


def test_it_may_be_taken_while_resources_come_and_go_in_other_threads(served: Served) -> None:
    over = threading.Event()

    def come_and_go() -> None:
        while not over.is_set():
            served.engine.add(tw.Resource("guest"))
            served.engine.remove("guest")

    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        for _ in range(100):
            try:
                names = by_name(snapshot(served.engine, served.journal)["resources"]).keys()
            except tw.UnknownName as error:
                assert "too fast" in str(error)  # noqa: PT017
            else:
                assert names - {"guest"} == {"fast", "slow"}
            assert {r["name"] for r in curves(served.engine)["resources"]} - {"guest"} == {"fast", "slow"}
            assert {one.subject for one in doctor(served.engine)} <= {"guest"}
    finally:
        over.set()
        thread.join()


def test_why_tells_the_last_refusals_with_their_candidates(served: Served) -> None:
    late = served.journal.select(served.urgent, (100.0,), deadline_s=0.001, request_id="r-late")
    served.clock.advance(1.0)
    for name in ("fast", "slow"):
        served.engine.drain(name)
    served.send(request_id="r-none")
    assert late.reason == "late"
    told = why(served.journal)
    assert [(d["request_id"], d["reason"]) for d in told] == [("r-none", "no_resource"), ("r-late", "late")]
    assert told[1]["explanation"]["cells"][0][0] == "resource"
    assert {row[0] for row in told[1]["explanation"]["cells"][1:]} == {"fast", "slow"}
    assert [d["request_id"] for d in why(served.journal, reason="late")] == ["r-late"]
    assert [d["request_id"] for d in why(served.journal, 1)] == ["r-none"]
    json.dumps(told, allow_nan=False)


def test_why_finds_an_admitted_job_by_its_request(served: Served) -> None:
    served.send(request_id="r7").complete()
    [told] = why(served.journal, request_id="r7")
    assert (told["reason"], told["end"]) == (None, "completed")
    assert why(served.journal, request_id="r8") == []


def test_a_curve_follows_what_is_believed_over_the_feature_that_was_seen(served: Served) -> None:
    drawn = curves(served.engine, "net", "tokens", points=5)
    grid = drawn["grid"]
    assert grid == sorted(grid)
    assert grid[0] < 100.0 < grid[-1]
    assert grid[-1] / grid[0] >= 3.9
    fast = by_name(drawn["resources"])["fast"]
    expected = [served.engine.profile("fast", "net", (u,)) for u in grid]
    assert fast["median_s"] == [p.median_s for p in expected]
    assert fast["p90_s"] == [p.quantile(0.9) for p in expected]
    assert fast["median_s"][-1] > 2.0 * fast["median_s"][0]


def test_where_not_all_are_drawn_those_with_most_results_are(served: Served) -> None:
    drawn = curves(served.engine, "net", most=1)
    assert ([r["name"] for r in drawn["resources"]], drawn["left_out"]) == (["fast"], 1)
    for _ in range(100):
        served.urgent.observe("slow", (100.0,)).complete(0.1)
    assert [r["name"] for r in curves(served.engine, "net", most=1)["resources"]] == ["slow"]


def test_a_model_without_features_has_one_point_for_each_signal(served: Served) -> None:
    drawn = curves(served.engine, "llm", signal="tpot")
    assert (drawn["feature"], drawn["grid"]) == (None, [])
    assert [len(r["median_s"]) for r in drawn["resources"]] == [1, 1]


def test_curves_of_what_does_not_exist_are_named_errors(served: Served) -> None:
    with pytest.raises(tw.UnknownName, match="no model 'nut'"):
        curves(served.engine, "nut")
    with pytest.raises(tw.UnknownName, match="no feature 'token'"):
        curves(served.engine, "net", "token")
    with pytest.raises(tw.UnknownName, match="no signal 'tpot'"):
        curves(served.engine, "net", signal="tpot")
    with pytest.raises(tw.InputError, match="points=1"):
        curves(served.engine, points=1)


def test_the_spread_of_a_feature_is_that_of_the_jobs_behind_the_beliefs() -> None:
    world = Served(tau_s=float("inf"))
    for tokens in (100.0, 400.0):
        world.serve(40, tokens)
    seen = spreads(world.engine.models[0], world.engine.statistics())["tokens"]
    assert seen.n == pytest.approx(80.0, rel=0.05)
    assert seen.mean == pytest.approx(0.693, abs=0.05)
    assert seen.sd == pytest.approx(0.693, abs=0.05)  # ln 2 to both sides of it
    assert spreads(world.engine.models[1], world.engine.statistics()) == {}


@pytest.mark.parametrize("typical", [100.0, None])
def test_a_grid_stays_where_features_are_admissible(typical: float | None) -> None:
    engine = tw.Engine(
        [tw.Resource("a")],
        [tw.Model("net", features=(tw.Feature("n", typical=typical),))],
        [tw.QoS("q", 1.0)],
        seed=1,
    )
    route = engine.route("net", "q")
    for n in (0.0 if typical is None else 1e-30, 1e30):
        for _ in range(20):
            route.observe("a", (n,)).complete(0.01)
        grid = curves(engine)["grid"]
        assert grid == sorted(set(grid))
        assert len(grid) == 13
        assert grid[0] >= 0.0
