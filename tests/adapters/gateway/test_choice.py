"""Where requests go: by what is learned, by what was sent before, and, where tailwise looks on, by others' choice."""

from __future__ import annotations

import asyncio
import json
import math
from collections import Counter
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from tailwise.adapters.gateway.job import read_job
from tests.adapters.gateway.world import CONFIG, World, play

SHADOW = CONFIG.replace("hedge = false", 'hedge = false\ntell = true\nmode = "shadow"')
BOOK = "It was the best of times, it was the worst of times, it was the age of wisdom. " * 40


def test_the_prompt_that_a_backend_has_read_need_not_be_read_again() -> None:
    async def scenario(w: World) -> None:
        messages = [{"role": "user", "content": BOOK}]
        headers = {"x-session-id": "s-1"}
        first = (await w.chat(messages=messages, headers=headers)).headers["x-tailwise-backend"]
        had, other = w.fleet.engine.lane(first), 1 - w.fleet.engine.lane(first)
        more = [*messages, {"role": "assistant", "content": "yes"}, {"role": "user", "content": "and then?"}]
        body = json.dumps({"model": "llama", "messages": more}).encode()
        scope = {"path": "/v1/chat/completions", "method": "POST", "headers": [(b"x-session-id", b"s-1")]}
        job = read_job(w.fleet, scope, body)
        route = w.fleet.engine.route(job.model, job.slo.qos)
        rows = dict(zip(route.model.given, job.ask(None).given(route), strict=True))
        assert rows["uncached"][had] < 0.1 * job.x[0]
        assert rows["uncached"][other] == job.x[0]
        assert (rows["session"][had], rows["session"][other]) == (1.0, 0.0)

    play(scenario, text=CONFIG.replace("hedge = false", "hedge = false\ntell = true"))


def test_the_tokens_of_prompts_are_learned_from_usage() -> None:
    async def scenario(w: World) -> None:
        ratio = w.fleet.by_name["llama"].ratio
        for stream in (False, True):
            before = ratio.value
            for _ in range(20):
                await w.chat(stream=stream, messages=[{"role": "user", "content": "x" * 70}])
            assert ratio.value < before
        assert ratio.value == pytest.approx(7 / 70, rel=0.1)  # the backend says 7, whatever the prompt

    play(scenario, n=1)


def test_in_shadow_mode_the_clients_choice_stands_and_ours_is_told() -> None:
    async def scenario(w: World) -> None:
        for name in ("b0", "b1", "b1"):
            response = await w.chat(headers={"x-tailwise-backend": name})
            assert response.headers["x-tailwise-backend"] == name
            assert response.headers["x-tailwise-preferred"] in ("b0", "b1")
            assert w.decisions[-1].regret_s is not None
        assert [len(backend.seen) for backend in w.backends] == [1, 2]
        response = await w.chat(headers={"x-tailwise-backend": "http://127.0.0.1:1"})
        assert (response.status_code, response.json()["error"]["code"]) == (400, "bad_header")

    play(scenario, text=SHADOW)


def test_in_shadow_mode_a_rule_chooses_where_the_client_does_not() -> None:
    async def scenario(w: World) -> None:
        served = [(await w.chat()).headers["x-tailwise-backend"] for _ in range(6)]
        assert served == ["b0", "b1", "b2"] * 2

    play(scenario, n=3, text=SHADOW)


def test_least_connections_keeps_away_from_the_busy_one() -> None:
    async def scenario(w: World) -> None:
        w.backends[0].gate = asyncio.Event()
        waiting = asyncio.create_task(w.chat(headers={"x-tailwise-backend": "b0"}))
        await w.backends[0].asked.wait()
        served = Counter([(await w.chat()).headers["x-tailwise-backend"] for _ in range(5)])
        assert served == {"b1": 5}
        w.backends[0].gate.set()
        await waiting

    play(scenario, text=SHADOW.replace('"shadow"', '"shadow"\nrule = "least_connections"'))


def test_in_active_mode_a_client_names_no_backend() -> None:
    async def scenario(w: World) -> None:
        w.fleet.engine.drain("b0")
        for _ in range(3):
            assert (await w.chat(headers={"x-tailwise-backend": "b0"})).status_code == 200
        assert w.backends[0].seen == []

    play(scenario)


@pytest.mark.parametrize("mode", ["active", "shadow", "frozen", "bypass"])
def test_the_mode_can_be_switched_while_requests_come(mode: Any) -> None:
    async def scenario(w: World) -> None:
        for now in ("active", mode, "active"):
            w.fleet.engine.mode(now)
            for stream in (False, True):
                assert (await w.chat(stream=stream)).status_code == 200

    play(scenario)


def test_a_backends_report_reaches_the_engine_by_its_page() -> None:
    asked = asyncio.Event()

    async def scenario(w: World) -> None:
        def answer(request: Request) -> Response:
            asked.set()
            return PlainTextResponse("vllm:num_requests_running 3\nvllm:num_requests_waiting 9\n")

        w.backends[0].answer = answer
        while not (state := w.fleet.reports.state()).get("b0") or not state["b0"].n_reports:
            await asked.wait()
            await asyncio.sleep(0)
        assert state["b0"].values["waiting"] == 9.0
        assert w.backends[0].seen[0].target == "/metrics"

    text = CONFIG.replace("hedge = false", "hedge = false\nreport_every_s = 0.01")
    play(scenario, n=1, text=text + '[each_backend]\nreport = "vllm"\n')


def test_a_backends_report_reaches_the_engine_by_the_headers_of_its_answers() -> None:
    async def scenario(w: World) -> None:
        told = {"endpoint-load-metrics": "TEXT named_metrics.num_requests_waiting=4"}
        w.backends[0].answer = lambda request: JSONResponse({}, headers=told)
        response = await w.chat()
        assert w.backends[0].seen[0].all("endpoint-load-metrics-format") == ["text"]
        assert w.fleet.reports.state()["b0"].values["waiting"] == 4.0
        assert response.headers["endpoint-load-metrics"] == told["endpoint-load-metrics"]

    play(scenario, n=1, text=CONFIG + '[each_backend]\nreport = "orca"\n')


def test_a_model_behind_plain_http_is_learned_by_its_features() -> None:
    text = """
[gateway]
port = 0

[[model]]
name = "net"
api = "http"
paths = ["/predict"]
[[model.feature]]
name = "rows"
source = "header:X-Rows"
typical = 8
[[model.feature]]
name = "bytes"

[[qos]]
name = "soon"
deadline_s = 30.0
"""

    async def scenario(w: World) -> None:
        w.backends[0].answer = lambda request: JSONResponse([1])
        for headers in ({"x-rows": "16"}, {}):
            assert (await w.http.put("/predict/now?x=1", content=b"12345", headers=headers)).json() == [1]
        assert w.backends[0].seen[0].target == "/predict/now?x=1"
        assert (await w.http.post("/predictions")).status_code == 404
        for bad in ("many", "-1", "nan", "0", "inf"):
            response = await w.http.post("/predict", headers={"x-rows": bad})
            assert (response.status_code, response.json()["error"]["code"]) == (400, "bad_header")
        assert w.fleet.engine.profile("b0", "net").n == pytest.approx(2.0)
        assert math.isfinite(w.fleet.engine.profile("b0", "net", (16, 5)).median_s)

    play(scenario, n=1, text=text)


@pytest.mark.parametrize(
    ("headers", "left_s"),
    [
        ({}, 30.0 + 256 * 1.0),
        ({"x-tailwise-class": "batch"}, 30.0),
        ({"x-tailwise-deadline-ms": "9000", "x-tailwise-class": "chat"}, 9.0),
        ({"x-slo-ttft-ms": "40000"}, 40.0 + 256 * 1.0),
        ({"x-slo-tpot-ms": "2000", "x-slo-ttft-ms": "30000"}, 30.0 + 256 * 2.0),
    ],
)
def test_an_answer_in_one_piece_has_the_time_that_first_token_and_pace_allow(
    headers: dict[str, str], left_s: float
) -> None:
    async def scenario(w: World) -> None:
        await w.chat(headers=headers)
        assert w.decisions[-1].left_s == pytest.approx(left_s, abs=1.0)

    play(scenario, n=1)
