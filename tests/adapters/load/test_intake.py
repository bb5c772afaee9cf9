"""Headers of responses on their way to the engine."""

from __future__ import annotations

import math
import sys
import threading

import tailwise as tw
from tailwise.adapters.load import Intake, read_metrics
from tests.adapters.load.recorded import VLLM
from tests.adapters.load.test_poller import engine

WAITING = {"endpoint-load-metrics": "TEXT named_metrics.num_requests_waiting=5.0, eps=2"}


def advance(e: tw.Engine, seconds: float) -> None:
    e.clock.advance(seconds)  # type: ignore[attr-defined]


def test_a_header_says_what_it_says_and_the_rest_stays() -> None:
    e = engine()
    intake = Intake(e)
    intake.page("gpu-0", read_metrics(VLLM, "vllm"), 100.0)
    advance(e, 3.0)
    assert intake.headers("gpu-0", WAITING)
    assert intake.state()["gpu-0"].values == {"running": 8.0, "waiting": 5.0, "kv": 0.61}
    assert intake.state()["gpu-0"].age_s == 0.0
    assert e._core.foreign(0)["waiting"] == 5.0
    assert intake.faults() == []


def test_a_response_without_a_report_is_none() -> None:
    intake = Intake(engine())
    assert not intake.headers("gpu-0", {})
    assert not intake.headers("gpu-0", {"endpoint-load-metrics": "TEXT eps=2"})
    assert (intake.state(), intake.faults()) == ({}, [])


def test_an_unreadable_header_is_a_fault_and_changes_nothing() -> None:
    e = engine()
    intake = Intake(e)
    before = e._core.snapshot()
    for _ in range(2):
        assert not intake.headers("gpu-0", {"endpoint-load-metrics": "TEXT eps"})
    assert not intake.headers("gpu-9", WAITING)
    assert e._core.snapshot() == before
    assert [(f.resource, f.what, f.kind, f.times) for f in intake.faults()] == [
        ("gpu-0", "header", "refused", 2),
        ("gpu-9", "header", "refused", 1),
    ]
    intake.headers("gpu-0", WAITING)
    intake.forget("gpu-9")
    assert intake.faults() == []


def test_a_page_that_lacks_a_count_makes_it_unknown() -> None:
    e = engine()
    intake = Intake(e)
    intake.page("gpu-0", read_metrics(VLLM, "vllm"), 100.0)
    advance(e, 1.0)
    intake.page("gpu-0", read_metrics(VLLM.replace("num_requests_waiting{", "gone{"), "vllm"), 101.0)
    values = intake.state()["gpu-0"].values
    assert math.isnan(values["waiting"])
    assert (values["running"], values["kv"]) == (8.0, 0.61)
    assert e._core.foreign(0)["waiting"] == 0.0  # none that we know of: others' jobs there are not forecast


def test_any_thread_may_look_while_another_one_polls() -> None:
    """As the admin app does. Names come and go as often as can be, with a switch of threads every microsecond."""
    names = [f"r{i}" for i in range(200)]
    e = tw.Engine([tw.Resource(name) for name in names], [tw.Model("m")], [tw.QoS("q", 1.0)], seed=1)
    intake, over = Intake(e), threading.Event()

    def poll() -> None:
        while not over.is_set():
            for name in names:
                intake.failed(name, "nobody there")
            for name in names:
                intake.forget(name)

    before = sys.getswitchinterval()
    thread = threading.Thread(target=poll)
    sys.setswitchinterval(1e-6)
    thread.start()
    try:
        for _ in range(2000):
            assert intake.state().keys() <= set(names)
            assert {fault.resource for fault in intake.faults()} <= set(names)
    finally:
        over.set()
        thread.join()
        sys.setswitchinterval(before)
