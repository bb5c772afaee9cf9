"""`tailwise serve` as a process: what the README shows, what it prints, how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.adapters.gateway.world import Backend
from tests.adapters.loopback import loopback

README = (Path(__file__).parents[3] / "README.md").read_text("utf-8")
MAIN = "from tailwise.adapters.cli import main; main()"
[CONFIG] = [text for text in re.findall(r"```toml\n(.*?)```", README, re.DOTALL) if "[gateway]" in text]
[CLIENT] = [
    text for text in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "OpenAI(base_url" in text
]


def tailwise(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", MAIN, *arguments], capture_output=True, text=True, timeout=120, check=False
    )


class Running:
    """A thread with real backends, and a gateway process before them."""

    def __init__(self, folder: Path, text: str) -> None:
        self.backends: list[Backend] = []
        self._ready, self._over = threading.Event(), threading.Event()
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=lambda: self.loop.run_until_complete(self._serve()))
        self._thread.start()
        assert self._ready.wait(60)
        for i, backend in enumerate(self.backends):
            text = text.replace(f"http://127.0.0.1:800{i + 1}", backend.url)
        path = folder / "gateway.toml"
        path.write_text(text.replace("port = 8080", "port = 0").replace("port = 8245", "port = 0"))
        command = [sys.executable, "-c", MAIN, "serve", str(path)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline()
        found = re.fullmatch(r"tailwise: OpenAI API at (\S+)/v1, operators at (\S+)\n", self.line)
        assert found is not None, (self.line, self.stop())
        self.url, self.admin_url = found[1], found[2]

    async def _serve(self) -> None:
        async with contextlib.AsyncExitStack() as stack:
            for i in range(2):
                backend = Backend(f"b{i}")
                backend.url = await stack.enter_async_context(loopback(backend.app()))
                self.backends.append(backend)
            self._ready.set()
            await asyncio.to_thread(self._over.wait)

    def stop(self) -> tuple[int, str]:
        """Its exit status, and what it logged."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        _, log = self.process.communicate(timeout=60)
        return self.process.returncode, log

    def close(self) -> None:
        self.stop()
        self._over.set()
        self._thread.join()
        self.loop.close()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    running = Running(tmp_path, CONFIG)
    try:
        yield running
    finally:
        running.close()


def test_the_readmes_gateway_runs_and_its_client_gets_an_answer(
    running: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    exec(CLIENT.replace("http://127.0.0.1:8080", running.url), {})
    assert capsys.readouterr().out == "one two three"
    for path in ("/", "/api/snapshot", "/metrics"):
        response = httpx2.get(running.admin_url + path, trust_env=False)
        assert response.status_code == 200, path
    assert 'tailwise_ended_jobs_total{end="completed",qos="chat"} 1.0' in response.text
    assert httpx2.get(running.url + "/metrics", trust_env=False).status_code == 404


def test_told_to_stop_it_ends_the_requests_that_are_open(running: Running) -> None:
    gate = asyncio.Event()
    for backend in running.backends:
        backend.gate = gate
    body = {"model": "llama-70b", "messages": [{"role": "user", "content": "x"}], "stream": True}
    with httpx2.stream(
        "POST", f"{running.url}/v1/chat/completions", json=body, timeout=60, trust_env=False
    ) as response:
        events = response.iter_lines()
        next(events)
        running.process.send_signal(signal.SIGTERM)
        running.loop.call_soon_threadsafe(gate.set)
        assert [line for line in events if line][-1] == "data: [DONE]"
    status, log = running.stop()
    assert status == 0, log
    assert "Traceback" not in log


def test_no_key_and_no_query_stands_in_the_log(running: Running) -> None:
    headers = {"authorization": "Bearer sk-secret", "api-key": "sk-secret", "x-slo-ttft-ms": "soon"}
    for path in ("/v1/chat/completions?key=sk-secret", "/nowhere?key=sk-secret", "/now%0ahere"):
        httpx2.post(running.url + path, json={"model": "x"}, headers=headers, trust_env=False)
    _, log = running.stop()
    assert "POST /nowhere: 404 unknown_path" in log
    assert "POST /now\\nhere: 404 unknown_path" in log
    assert "sk-secret" not in log


def test_check_says_what_a_file_means(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(CONFIG)
    told = tailwise("serve", "--check", "--mode", "shadow", str(path))
    assert told.returncode == 0, told.stderr
    assert "mode shadow: round_robin chooses" in told.stdout
    assert "llama-70b: on gpu-0, gpu-1; classes chat (default chat)" in told.stdout
    path.write_text(CONFIG.replace("port = 8080", "port = 8080\nhost = '0.0.0.0'\nprot = 1"))
    told = tailwise("serve", "--check", str(path))
    assert (told.returncode, told.stderr.count("\n")) == (2, 1)
    assert "gateway.toml: [gateway]: unknown prot" in told.stderr


def test_the_example_can_be_checked(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(tailwise("serve", "--example").stdout)
    told = tailwise("serve", "--check", str(path))
    assert told.returncode == 0, told.stderr


def test_without_a_file_it_says_what_to_do() -> None:
    told = tailwise("serve")
    assert told.returncode == 2
    assert "--example" in told.stderr


def test_a_port_that_is_taken_is_one_line(running: Running, tmp_path: Path) -> None:
    path = tmp_path / "second.toml"
    path.write_text(
        CONFIG.replace("8080", running.url.rpartition(":")[2]).replace("admin_port", "# admin_port")
    )
    told = tailwise("serve", str(path))
    assert told.returncode == 1
    assert told.stderr.count("\n") == 1, told.stderr
    assert "cannot listen on 127.0.0.1" in told.stderr
