"""What the README shows is run."""

import asyncio
import re
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

import tailwise as tw

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
EMBEDDING = 'tw.QoS("interactive", deadline_s=0.05, on_time=0.99, priority=0)'
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_embedding_example_runs_and_teaches_a_profile() -> None:
    scope: dict[str, object] = {}
    exec(block(EMBEDDING), scope)
    engine = scope["engine"]
    assert engine.in_flight == 0  # type: ignore[attr-defined]
    assert sum(engine.profile(r, "resnet50").n for r in ("cuda:0", "cpu")) == 1.0  # type: ignore[attr-defined]


def test_the_executor_example_runs_on_cpu_devices() -> None:
    """The README names a GPU and a module of the reader's; here both stand on what every machine has."""
    torch = pytest.importorskip("torch")
    scope: dict[str, object] = {}
    exec(block(EMBEDDING), scope)
    scope["images"] = torch.ones(8, 3, 4, 4)
    program = (
        block('models={"resnet50": "mypackage.models:resnet50"}')
        .replace('Thread("cuda:0")', 'Thread("cpu")')
        .replace("mypackage.models:resnet50", "torch.nn:Identity")
    )
    exec(program, scope)
    assert torch.equal(scope["logits"], torch.ones(8, 3, 4, 4))  # type: ignore[arg-type]


def test_the_example_of_jobs_that_tailwise_runs_runs() -> None:
    pytest.importorskip("torch")
    scope: dict[str, object] = {}
    exec(block('tw.Model("large"'), scope)
    answers, exact = scope["answers"], scope["exact"]
    assert [tuple(answer.shape) for answer in answers] == [(4, 10)] * 50  # type: ignore[attr-defined]
    assert exact.record.model == "large"  # type: ignore[attr-defined]
    assert scope["executor"].stats().n_open == 0  # type: ignore[attr-defined]


def test_the_language_model_example_runs_and_teaches_both_signals() -> None:
    scope: dict[str, object] = {}
    exec(block('engine.route("llama-70b", "chat")'), scope)
    engine = scope["engine"]
    assert engine.in_flight == 0  # type: ignore[attr-defined]
    assert engine.length("llama-70b").n == 1.0  # type: ignore[attr-defined]


def block(line: str) -> str:
    """The block that has `line`."""
    [found] = [text for text in BLOCKS if line in text]
    return found


def test_the_metrics_example_runs_and_prints_what_it_counted(capsys: pytest.CaptureFixture[str]) -> None:
    prometheus_client = pytest.importorskip("prometheus_client")
    scope: dict[str, object] = {}
    exec(block("TailwiseCollector(journal)"), scope)
    prometheus_client.REGISTRY.unregister(next(iter(_collectors(prometheus_client.REGISTRY))))
    assert 'tailwise_ended_jobs_total{end="completed",qos="interactive"} 1.0' in capsys.readouterr().out


def _collectors(registry: object) -> list[object]:
    kept = registry._collector_to_names  # type: ignore[attr-defined]
    return [c for c in kept if type(c).__name__ == "TailwiseCollector"]


def test_the_load_report_example_tells_the_engine(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("prometheus_client")
    pytest.importorskip("httpx2")
    page = b"vllm:num_requests_running 2\nvllm:num_requests_waiting 1\n"
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(page)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=_answer, args=(listener, head + page))
        server.start()
        host = f"127.0.0.1:{listener.getsockname()[1]}"
        engine = tw.Engine([tw.Resource("gpu-0")], [tw.Model("m")], [tw.QoS("q", 5.0)])
        exec(block("Poller, Target").replace("10.0.0.7:8000", host), {"engine": engine})
        server.join()
    assert "'running': 2.0" in capsys.readouterr().out


def _answer(listener: socket.socket, answer: bytes) -> None:
    caller, _ = listener.accept()
    with caller:
        caller.recv(65536)
        caller.sendall(answer)


async def _run_on(resource: str, images: list[str]) -> list[str]:
    assert resource in ("cuda:0", "cpu")
    return images


def test_the_asyncio_example_settles_its_job() -> None:
    scope: dict[str, Any] = {"run_on": _run_on}
    exec(block(EMBEDDING), scope)
    exec(block("AsyncRoute(engine.route("), scope)
    assert asyncio.run(scope["classify"](["x"] * 8)) == ["x"] * 8
    assert scope["images"].journal.classes["interactive"].ended["completed"] == 1


def test_the_web_server_example_answers_and_refuses() -> None:
    pytest.importorskip("fastapi")
    testclient = pytest.importorskip("starlette.testclient")
    scope: dict[str, Any] = {"run_on": _run_on}
    exec(block(EMBEDDING), scope)
    exec(block("app.add_middleware(TailwiseMiddleware"), scope)
    client = testclient.TestClient(
        scope["app"], headers={"x-tailwise-class": "batch"}
    )  # 50 ms are little here
    assert client.post("/classify", json=["x"] * 8).json() == ["x"] * 8
    for name in ("cuda:0", "cpu"):
        scope["engine"].drain(name)
    refused = client.post("/classify", json=["x"])
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "no_resource")
    assert client.post("/classify", json=["x"], headers={"x-tailwise-deadline-ms": "soon"}).status_code == 400
    assert scope["engine"].in_flight == 0


def test_the_on_call_example_serves_an_engine_to_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    scope: dict[str, Any] = {}
    exec(block('serve_admin(engine, journal, path="tailwise.sock")'), scope)
    assert "run it on gpu-0" in capsys.readouterr().out
    assert scope["journal"].classes["chat"].ended["completed"] == 1
    assert not (tmp_path / "tailwise.sock").exists()


def test_the_example_of_a_client_over_several_backends_gets_its_answer(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("httpx2")
    body = b'{"text": "Hi"}'
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=_answer, args=(listener, head + body))
        server.start()
        host = f"127.0.0.1:{listener.getsockname()[1]}"
        scope: dict[str, Any] = {}
        example = block('transport=Transport(Journal(engine), backends, Ask("llama", "chat"))')
        exec(example.replace("10.0.0.7:8000", host).replace("10.0.0.8:8000", host), scope)
        server.join()
    assert "{'text': 'Hi'} from gpu-" in capsys.readouterr().out
    assert scope["engine"].in_flight == 0


def test_the_opentelemetry_example_runs_and_prints_genai_names(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("opentelemetry.sdk")
    scope: dict[str, object] = {}
    exec(block(EMBEDDING), scope)
    exec(block("instrument(journal, meter_provider="), scope)
    assert '"gen_ai.server.request.duration"' in capsys.readouterr().out
