"""Polls over loopback: what the engine is told, and what is kept of what it could not be told."""

from __future__ import annotations

import asyncio
import logging
import math
import re
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import tailwise as tw
from tailwise.adapters.load import Field, Format, Poller, Target, read_orca
from tailwise.errors import ConfigError, MissingExtra, UnknownName
from tests.adapters.load.recorded import LLAMA_CPP, VLLM
from tests.adapters.load.server import Metrics, served


def engine() -> tw.Engine:
    """Two resources at 100 s; what runs on "gpu-1" has no columns."""
    llm = tw.Model("llm", columns=(tw.Column("kv", scale=0.2, reported=True),), resources=("gpu-0",))
    return tw.Engine(
        [tw.Resource("gpu-0", slots=16), tw.Resource("gpu-1", slots=16)],
        [llm, tw.Model("plain")],
        [tw.QoS("q", 5.0, contract="best_effort")],
        clock=tw.ManualClock(100.0),
        seed=1,
    )


Case = Callable[[tw.Engine, Metrics, Poller], Awaitable[None]]


def run(case: Case, page: str = VLLM, form: str | Format = "vllm", **options: Any) -> None:
    """The case, with a poller of "gpu-0" whose server tells a page."""

    async def with_server() -> None:
        e = engine()
        async with served(page) as (metrics,):
            poller = Poller(e, {"gpu-0": Target(metrics.url, form)}, **options)
            await case(e, metrics, poller)
            await poller._client.aclose()

    asyncio.run(with_server())


def test_a_poll_tells_the_engine_what_it_takes() -> None:
    """The page says running, waiting, kv and two more that no model has a column for."""

    async def case(e: tw.Engine, metrics: Metrics, poller: Poller) -> None:
        assert await poller.poll("gpu-0")
        state = poller.state()["gpu-0"]
        assert state.values == {"running": 8.0, "waiting": 3.0, "kv": 0.61}
        assert (state.age_s, state.n_reports, state.n_failed) == (0.0, 1, 0)
        assert e._core.foreign(0)["running"] + e._core.foreign(0)["waiting"] == 11.0
        assert poller.faults() == []

    run(case)


def test_a_report_is_dated_when_its_answer_began() -> None:
    """The server takes 3 s to come to the request and reads its gauges then, when a job of ours is there that was not
    when it was asked: it is none of others'."""

    async def case(e: tw.Engine, metrics: Metrics, poller: Poller) -> None:
        def later() -> None:
            e.clock.advance(2.0)  # type: ignore[attr-defined]
            tickets.append(e.route("plain", "q").select((), mask=1))
            e.clock.advance(1.0)  # type: ignore[attr-defined]

        tickets: list[tw.Ticket] = []
        metrics.before = later
        metrics.page = VLLM.replace("} 8.0", "} 1.0").replace("} 3.0", "} 0.0")
        assert await poller.poll("gpu-0")
        assert e._core.foreign(0)["running"] == 0.0
        e.clock.advance(2.0)  # type: ignore[attr-defined]
        assert poller.state()["gpu-0"].age_s == 2.0
        tickets[0].cancel()

    run(case)


def test_what_a_page_lacks_becomes_unknown_and_is_a_fault() -> None:
    async def case(e: tw.Engine, metrics: Metrics, poller: Poller) -> None:
        await poller.poll("gpu-0")
        e.clock.advance(5.0)  # type: ignore[attr-defined]
        metrics.page = VLLM.replace("kv_cache_usage_perc", "kv_cache_share")
        for times in (1, 2):
            assert await poller.poll("gpu-0")
            assert math.isnan(poller.state()["gpu-0"].values["kv"])
            (fault,) = poller.faults()
            assert (fault.resource, fault.what, fault.kind) == ("gpu-0", "kv", "missing")
            assert "vllm:kv_cache_usage_perc" in fault.why
            assert (fault.since_s, fault.seen_s, fault.times) == (105.0, 100.0, times)
        metrics.page = VLLM
        await poller.poll("gpu-0")
        assert poller.faults() == []

    run(case)


def test_a_column_that_a_format_cannot_tell_is_a_fault() -> None:
    async def case(e: tw.Engine, metrics: Metrics, poller: Poller) -> None:
        await poller.poll("gpu-0")
        assert [(f.what, f.kind, f.seen_s) for f in poller.faults()] == [("kv", "missing", None)]

    run(case, LLAMA_CPP, "llama-cpp")


def test_a_column_of_models_that_run_elsewhere_is_not_missed() -> None:
    async def with_server() -> None:
        async with served(LLAMA_CPP) as (metrics,):
            poller = Poller(engine(), {"gpu-1": Target(metrics.url, "llama-cpp")})
            assert await poller.poll("gpu-1")
            assert poller.faults() == []
            await poller._client.aclose()

    asyncio.run(with_server())


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n", "status 503"),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\nvllm:num_requests_running 0\n",
            "peer closed connection",
        ),
        (b"HTTP/1.1 200 OK\r\n\r\nvllm:num_requests_running 0", "cut off"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n<html", "cut off"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"# nothing\n" * 500_000, "more than 4194304 bytes"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", ""),
    ],
)
def test_a_failed_poll_changes_nothing_and_is_a_fault(answer: bytes, says: str) -> None:
    async def case(e: tw.Engine, metrics: Metrics, poller: Poller) -> None:
        await poller.poll("gpu-0")
        before = e._core.snapshot()
        metrics.answer = answer
        assert not await poller.poll("gpu-0")
        assert e._core.snapshot() == before
        (fault,) = poller.faults()
        assert (fault.what, fault.kind) == ("report", "failed")
        assert says in fault.why
        assert poller.state()["gpu-0"].n_failed == 1

    run(case)


def test_a_server_that_hangs_is_given_up() -> None:
    async def case(e: tw.Engine, metrics: Metrics, poller: Poller) -> None:
        metrics.answer = b""
        assert not await poller.poll("gpu-0")
        assert "no whole answer within 0.05 s" in poller.faults()[0].why

    run(case, timeout_s=0.05)


def test_a_report_that_nothing_follows_becomes_unknown_once_it_is_stale() -> None:
    async def case(e: tw.Engine, metrics: Metrics, poller: Poller) -> None:
        await poller.poll("gpu-0")
        metrics.answer = b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n"
        e.clock.advance(10.0)  # type: ignore[attr-defined]
        await poller.poll("gpu-0")
        assert poller.state()["gpu-0"].values["kv"] == 0.61
        e.clock.advance(0.1)  # type: ignore[attr-defined]
        await poller.poll("gpu-0")
        assert all(map(math.isnan, poller.state()["gpu-0"].values.values()))
        assert e._core.foreign(0)["waiting"] == 0.0
        assert poller.state()["gpu-0"].age_s == pytest.approx(10.1)

    run(case, stale_s=10.0)


def test_a_fault_is_logged_at_most_once_a_minute_and_its_end(caplog: pytest.LogCaptureFixture) -> None:
    async def case(e: tw.Engine, metrics: Metrics, poller: Poller) -> None:
        metrics.page = VLLM.replace("num_requests_waiting{", "num_requests_queued{").replace(" 0.61", " 61")
        for _ in range(121):
            await poller.poll("gpu-0")
            e.clock.advance(1.0)  # type: ignore[attr-defined]
        metrics.page = VLLM
        await poller.poll("gpu-0")

    with caplog.at_level(logging.INFO, "tailwise.load"):
        run(case)
    told = [(r.levelname, r.getMessage()) for r in caplog.records if r.name == "tailwise.load"]
    for field, why in (("waiting", "vllm:num_requests_waiting is not there"), ("kv", "says 61")):
        warnings = [m for level, m in told if level == "WARNING" and f"gpu-0: {field}" in m]
        assert len(warnings) == 3
        assert all(why in message for message in warnings)
        assert ("INFO", f"gpu-0: {field} is right again, 121 in a row were not") in told


def test_a_renamed_metric_is_read_and_told(caplog: pytest.LogCaptureFixture) -> None:
    async def case(e: tw.Engine, metrics: Metrics, poller: Poller) -> None:
        await poller.poll("gpu-0")
        assert poller.state()["gpu-0"].values["kv"] == 0.61
        assert [(f.what, f.kind) for f in poller.faults()] == [("kv", "renamed")]

    run(case, VLLM.replace("kv_cache_usage_perc", "gpu_cache_usage_perc"))
    assert "vllm:gpu_cache_usage_perc" in caplog.text


def test_a_resource_that_was_removed_is_a_fault_until_it_is_back() -> None:
    async def case(e: tw.Engine, metrics: Metrics, poller: Poller) -> None:
        e.remove("gpu-0")
        assert not await poller.poll("gpu-0")
        assert "no resource 'gpu-0'" in poller.faults()[0].why
        e.add(tw.Resource("gpu-0"))
        assert await poller.poll("gpu-0")
        assert poller.faults() == []

    run(case)


def test_polls_go_on_beside_each_other_and_none_meets_the_next() -> None:
    """One server of two hangs: the other is polled all the same."""

    async def with_servers() -> None:
        async with served(VLLM, LLAMA_CPP) as (hanging, other):
            hanging.answer = b""
            targets = {"gpu-0": Target(hanging.url), "gpu-1": Target(other.url, "llama-cpp")}
            async with Poller(engine(), targets, interval_s=0.001, timeout_s=30.0) as poller:
                await other.polled(20)
            assert (hanging.polls, hanging.most_at_once, other.most_at_once) == (1, 1, 1)
            assert poller.state()["gpu-1"].n_reports >= 19
            polls = other.polls
            await asyncio.sleep(0)
            assert other.polls == polls

    asyncio.run(with_servers())


def test_a_client_that_was_given_is_left_open() -> None:
    httpx = pytest.importorskip("httpx")

    async def with_server() -> None:
        async with served(VLLM) as (metrics,), httpx.AsyncClient() as client:
            async with Poller(engine(), {"gpu-0": Target(metrics.url)}, client=client, interval_s=0.001):
                await metrics.polled(1)
            assert not client.is_closed

    asyncio.run(with_server())


def test_a_format_of_the_users_own_may_be_given_as_it_is_or_by_its_name() -> None:
    mine = Format("mine", {"running": Field("running", ("jobs",)), "waiting": Field("waiting", ("queue",))})

    async def case(e: tw.Engine, metrics: Metrics, poller: Poller) -> None:
        assert await poller.poll("gpu-0")
        assert poller.state()["gpu-0"].values["running"] == 7.0

    run(case, "jobs 7\nqueue 0\n", mine)
    run(case, "jobs 7\nqueue 0\n", "mine", formats={"mine": mine})


def test_what_a_poller_cannot_use_is_refused() -> None:
    with pytest.raises(UnknownName, match="no load format 'vlm'"):
        Poller(engine(), {"gpu-0": Target("http://127.0.0.1:1/", "vlm")})
    with pytest.raises(ConfigError, match="interval_s=0"):
        Poller(engine(), {}, interval_s=0)
    with pytest.raises(ConfigError, match="stale_s=inf"):
        Poller(engine(), {}, stale_s=math.inf)
    with pytest.raises(ConfigError, match="url=''"):
        Target("")
    with pytest.raises(UnknownName, match="no target 'gpu-9'; there are none"):
        asyncio.run(Poller(engine(), {}).poll("gpu-9"))


@pytest.mark.parametrize(
    ("missing", "extra"), [("prometheus_client.parser", "prometheus"), ("httpx2", "httpx2")]
)
def test_a_missing_extra_is_named_when_a_poller_is_made(
    missing: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingExtra, match=re.escape(f"tailwise[{extra}]")):
        Poller(engine(), {})
    assert read_orca({"endpoint-load-metrics": "TEXT eps=1"}) is not None


def test_a_secret_in_a_url_is_in_no_log_and_no_fault(caplog: pytest.LogCaptureFixture) -> None:
    target = Target("http://me:hunter2@127.0.0.1:9/metrics?token=hunter3")
    poller = Poller(engine(), {"gpu-0": target})
    asyncio.run(poller.poll("gpu-0"))
    [fault] = poller.faults()
    assert fault.why.startswith("http://127.0.0.1:9/metrics: ")
    assert "hunter" not in caplog.text + fault.why
