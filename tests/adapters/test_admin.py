"""The admin app over real sockets: what it tells, who may ask, and that nothing of it is left behind."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tailwise.adapters.admin import Admin, serve_admin
from tailwise.adapters.admin.guard import is_local
from tests.adapters.served import Served
from tests.hidden import run_without

CHANGE = {"x-tailwise-admin": "1"}


@pytest.fixture
def served() -> Served:
    world = Served()
    world.serve(30)
    return world


@pytest.fixture
def client(served: Served) -> Iterator[httpx2.Client]:
    with (
        serve_admin(served.engine, served.journal, port=0) as address,
        httpx2.Client(base_url=address, timeout=20.0) as client,
    ):
        yield client


def test_it_tells_the_snapshot_the_findings_the_refusals_and_the_curves(
    served: Served, client: httpx2.Client
) -> None:
    served.engine.mode("shadow")
    served.engine.mode("active")
    for name in ("fast", "slow"):
        served.engine.drain(name)
    served.send(request_id="r1")
    told = client.get("/api/snapshot").json()
    assert told["schema"] == 1
    assert [r["drained"] for r in told["resources"]] == [True, True]
    assert client.get("/api/doctor").json() == []
    [refusal] = client.get("/api/why", params={"n": 5, "reason": "no_resource"}).json()
    assert refusal["request_id"] == "r1"
    assert client.get("/api/why", params={"request": "r2"}).json() == []
    drawn = client.get("/api/curves", params={"model": "net", "feature": "", "signal": ""}).json()
    assert drawn["feature"] == "tokens"


@pytest.mark.parametrize(
    ("path", "status", "named"),
    [
        ("/api/why?n=many", 400, "n='many'"),
        ("/api/curves?model=nut", 400, "no model 'nut'"),
        ("/api/nothing", 404, "Not Found"),
    ],
)
def test_what_cannot_be_answered_is_said_as_json(
    client: httpx2.Client, path: str, status: int, named: str
) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert named in answer.json()["error"]["message"]


def test_mode_rollout_reset_and_drain_change_the_engine(served: Served, client: httpx2.Client) -> None:
    def change(what: str, **asked: Any) -> Any:
        answer = client.post(f"/api/{what}", json=asked, headers=CHANGE)
        assert answer.status_code == 200, answer.text
        return answer.json()

    assert change("mode", mode="shadow") == {"mode": "shadow", "rollout": 1.0}
    assert served.engine.mode() == "shadow"
    assert change("mode", mode="active", rollout=0.5) == {"mode": "active", "rollout": 0.5}
    assert change("mode") == {"mode": "active", "rollout": 0.5}
    assert served.engine.profile("fast", "net").n_results > 0
    change("reset", resource="fast", model="net")
    assert served.engine.profile("fast", "net").n_results == 0
    change("reset", resource="slow")
    assert served.engine.statistics() == ()
    change("drain", resource="fast")
    assert served.send().resource == "slow"
    change("undrain", resource="fast")
    change("drain", resource="slow")
    assert served.send().resource == "fast"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"{", "no JSON"),
        (b"[1]", "a JSON object with 'mode' and 'rollout'"),
        (b'{"mode": "shadow", "moed": 1}', "a JSON object"),
        (b'{"mode": "sleepy"}', "mode='sleepy'"),
        (b'{"mode": 7}', "mode=7"),
        (b'{"rollout": 2}', "rollout=2"),
        (b'{"rollout": "x"}', "rollout='x'"),
        (b'{"mode": "' + b"x" * 5000 + b'"}', "more than 4096 bytes"),
        (b"[" * 4000, "no JSON"),
    ],
)
def test_a_mistake_is_a_400_that_names_it_and_changes_nothing(
    served: Served, client: httpx2.Client, body: bytes, named: str
) -> None:
    answer = client.post("/api/mode", content=body, headers={**CHANGE, "content-type": "application/json"})
    assert answer.status_code == 400
    assert named in answer.json()["error"]["message"]
    assert (served.engine.mode(), served.engine.rollout) == ("active", 1.0)


@pytest.mark.parametrize("what", ["reset", "drain", "undrain"])
@pytest.mark.parametrize("asked", [{}, {"resource": "nowhere"}, {"resource": None}, {"resource": [1]}])
def test_a_resource_that_is_not_there_is_a_400(client: httpx2.Client, what: str, asked: Any) -> None:
    answer = client.post(f"/api/{what}", json=asked, headers=CHANGE)
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "UnknownName")


@pytest.mark.parametrize(
    ("headers", "named"),
    [
        ({}, "x-tailwise-admin"),
        ({**CHANGE, "origin": "http://evil.example"}, "Origin"),
        ({**CHANGE, "origin": "null"}, "Origin"),
        ({**CHANGE, "sec-fetch-site": "cross-site"}, "another site"),
        ({**CHANGE, "content-type": "text/plain"}, "application/json"),
        ({**CHANGE, "host": "evil.example"}, "Host"),
        ({**CHANGE, "host": "localhost.evil.example:80"}, "Host"),
        ({**CHANGE, "host": ""}, "Host"),
    ],
)
def test_another_site_changes_nothing(
    served: Served, client: httpx2.Client, headers: dict[str, str], named: str
) -> None:
    body = b'{"mode": "bypass"}'
    answer = client.post("/api/mode", content=body, headers={"content-type": "application/json", **headers})
    assert answer.status_code == 403
    assert named in answer.json()["error"]["message"]
    assert served.engine.mode() == "active"


@pytest.mark.parametrize("path", ["/", "/api/snapshot", "/api/events", "/api/why"])
def test_a_name_that_somebody_pointed_here_reads_nothing(client: httpx2.Client, path: str) -> None:
    assert client.get(path, headers={"host": "evil.example"}).status_code == 403
    for name in ("localhost", "LOCALHOST:80", "[::1]:1", "127.0.0.1"):
        assert client.get("/api/doctor", headers={"host": name}).status_code == 200


def test_a_page_of_another_site_takes_no_readers_place_and_one_that_links_here_may(
    client: httpx2.Client,
) -> None:
    fetched = {"origin": "https://evil.example", "sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"}
    for path in ("/api/events", "/api/snapshot"):
        assert client.get(path, headers=fetched).status_code == 403
    followed = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert client.get("/", headers=followed).status_code == 200


def test_the_page_of_this_origin_may_change_something(client: httpx2.Client) -> None:
    origin = f"http://{client.base_url.netloc.decode()}"
    headers = {**CHANGE, "origin": origin, "sec-fetch-site": "same-origin"}
    assert client.post("/api/mode", json={}, headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("client", "server", "local"),
    [
        (("127.0.0.1", 5), ("127.0.0.1", 80), True),
        (("127.8.8.8", 5), ("127.0.0.1", 80), True),
        (("::1", 5), ("::1", 80), True),
        (("::ffff:127.0.0.1", 5), ("::", 80), True),
        (None, ("/run/x.sock", None), True),
        (None, None, True),
        (("10.0.0.9", 5), ("10.0.0.1", 80), False),
        (("fe80::1%eth0", 5), ("fe80::2", 80), False),
        (("testclient", 5), ("testserver", 80), False),
        (None, ("10.0.0.1", 80), False),
    ],
)
def test_only_this_machine_is_local(client: Any, server: Any, local: bool) -> None:
    assert is_local({"type": "http", "client": client, "server": server}) is local


def events(stream: Iterator[str]) -> Iterator[tuple[str, Any]]:
    kind = ""
    for line in stream:
        if line.startswith("event: "):
            kind = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield kind, json.loads(line.removeprefix("data: "))


def test_events_bring_the_picture_and_each_decision_and_its_end(
    served: Served, client: httpx2.Client
) -> None:
    with client.stream("GET", "/api/events") as stream:
        assert stream.headers["content-type"] == "text/event-stream"
        told = events(stream.iter_lines())
        assert [next(told)[0] for _ in range(3)] == ["snapshot", "doctor", "decisions"]
        entry = served.send(request_id="r9")
        kind, news = next(item for item in told if item[0] == "decisions")
        [decision] = news["decisions"]
        assert (decision["request_id"], decision["end"], news["skipped"]) == ("r9", None, 0)
        served.clock.advance(0.03)
        entry.complete()
        kind, news = next(item for item in told if item[0] == "decisions")
        [decision] = news["decisions"]
        assert (decision["request_id"], decision["end"], decision["on_time"]) == ("r9", "completed", True)
        assert kind == "decisions"
        offered = entry.decision.number
        while True:
            kind, picture = next(told)
            if kind == "snapshot" and picture["classes"][0]["jobs"]["offered"] == offered:
                break


def test_a_head_of_the_stream_opens_none(client: httpx2.Client) -> None:
    assert client.head("/api/events").status_code == 405


def test_of_many_decisions_at_once_the_latest_are_sent_and_the_others_counted(
    served: Served, client: httpx2.Client
) -> None:
    with client.stream("GET", "/api/events") as stream:
        told = events(stream.iter_lines())
        _, first = next(item for item in told if item[0] == "decisions")
        assert len(first["decisions"]) == 24
        assert first["skipped"] == 6  # of 30
        assert first["decisions"][-1]["number"] == 30


def test_the_seventeenth_reader_is_told_that_it_is_one_too_many(served: Served) -> None:
    with serve_admin(served.engine, served.journal, port=0) as address:
        clients = [httpx2.Client(base_url=address) for _ in range(16)]
        streams = [client.stream("GET", "/api/events") for client in clients]
        for stream in streams:
            assert stream.__enter__().status_code == 200
        answer = httpx2.get(f"{address}/api/events")
        assert answer.status_code == 503
        for stream, client in zip(streams, clients, strict=True):
            stream.__exit__(None, None, None)
            client.close()


def test_the_page_and_all_that_it_names_come_from_here_alone(client: httpx2.Client) -> None:
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    named = re.findall(r"""(?:href|src)="([^"#]+)\"""", page.text)
    files = [name for name in named if not name.startswith("data:")]
    assert files == ["page.css", "page.js"]
    for name in (*files, "draw.js", "decisions.js"):
        answer = client.get(f"/{name}")
        assert answer.status_code == 200
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert not re.search(r"https?://(?!www\.w3\.org/)", answer.text)


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_without_its_packages_the_error_names_the_extra(missing: str) -> None:
    program = (
        "import tailwise as tw\nfrom tailwise.adapters.admin import serve_admin\n"
        "with serve_admin(tw.Engine([tw.Resource('a')], [tw.Model('m')], [tw.QoS('q', 1.0)]), port=0): pass"
    )
    told = run_without(missing, program)
    assert f"needs {missing}: pip install 'tailwise[gateway]'" in told.stderr


def test_it_can_be_mounted_under_a_path_of_another_app(served: Served) -> None:
    from starlette.applications import Starlette
    from starlette.routing import Mount

    app = Starlette(routes=[Mount("/tailwise", Admin(served.engine, served.journal, hosts=["testserver"]))])
    from starlette.testclient import TestClient

    client = TestClient(app, client=("127.0.0.1", 1))
    assert client.get("/tailwise/").status_code == 200
    assert client.get("/tailwise/api/snapshot").json()["schema"] == 1
