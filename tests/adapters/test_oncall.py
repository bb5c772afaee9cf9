"""The on-call commands against a real engine behind a real socket."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tailwise.adapters.admin import PORT, serve_admin
from tailwise.adapters.cli import asking
from tailwise.adapters.cli.app import app
from tests.adapters.served import Served
from tests.hidden import run_without

MAIN = "from tailwise.adapters.cli import main\nmain()"


@pytest.fixture
def served() -> Served:
    world = Served()
    world.serve(30)
    return world


@pytest.fixture
def address(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with serve_admin(served.engine, served.journal, path=tmp_path / "s") as address:
        monkeypatch.setenv("TAILWISE_ADMIN", address)
        yield address


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == code, result.output
    return result.output


def test_top_shows_classes_and_resources(served: Served, address: str) -> None:
    served.engine.drain("slow")
    for _ in range(3):
        served.urgent.observe("slow", (100.0,)).fail()
    told = run("top", "--once")
    words = told.split()
    for word in ("active,", "urgent", "chat", "fast", "slow", "net", "ttft", "100.0"):
        assert word in words, told
    assert "ejected, probe in" in told
    assert "drained" in told
    assert run("top").split("\n")[1:] == told.split("\n")[1:]  # no terminal: as --once


def test_top_as_json_is_the_snapshot(address: str) -> None:
    assert json.loads(run("top", "--json"))["schema"] == 1


def test_top_of_an_engine_without_a_journal_shows_what_it_believes(served: Served) -> None:
    with serve_admin(served.engine, port=0) as url:
        assert "fast" in run("top", "--once", "--url", url)


def test_why_shows_the_candidates_of_the_last_refusals(served: Served, address: str) -> None:
    assert run("why") == "no job was refused\n"
    served.journal.select(served.urgent, (100.0,), deadline_s=0.001, request_id="[r-late]")
    told = run("why")
    assert "refused (late), request [r-late]" in told
    assert "propensity" in told
    assert {"fast", "slow"} <= set(told.split())
    assert run("why", "--reason", "guarantee") == "no such decision is kept\n"
    assert "[r-late]" in run("why", "--request", "[r-late]")
    assert json.loads(run("why", "--json"))[0]["reason"] == "late"


def test_why_of_a_request_tells_what_tailwise_would_have_chosen_in_shadow_mode(
    served: Served, address: str
) -> None:
    run("mode", "shadow")
    for default, took_s, name in (("slow", 0.1, "other"), ("fast", 0.02, "same")):
        entry = served.send(100.0, default=default, request_id=name)
        served.clock.advance(took_s)
        entry.complete()
    assert "to slow (tailwise would have taken fast), completed, request other" in run(
        "why", "--request", "other"
    )
    assert "to fast, completed, request same" in run("why", "--request", "same")


def test_why_prefers_refusals_whose_candidates_were_kept(served: Served, address: str) -> None:
    for i in range(3):  # in one moment: one of them is explained
        served.journal.select(served.urgent, (100.0,), deadline_s=0.001, request_id=f"r{i}")
    assert [one in run("why") for one in ("r0", "r1", "r2")] == [True, False, False]
    told = run("why", "--all", "--last", "2")
    assert [one in told for one in ("r0", "r1", "r2")] == [False, True, True]
    assert "were not kept" in told


def test_doctor_ends_with_one_where_something_is_an_error(served: Served, address: str) -> None:
    assert run("doctor") == "nothing looks wrong\n"
    served.engine.mode("frozen")
    with serve_admin(served.engine, served.journal, port=0) as url:  # findings are kept for two seconds
        assert "info: the engine is in frozen mode" in run("doctor", "--url", url)
    for _ in range(3):
        served.urgent.observe("slow", (100.0,)).fail()
    with serve_admin(served.engine, served.journal, port=0) as url:
        assert "error: slow: its breaker is open" in run("doctor", "--url", url, code=1)
        [first, _] = json.loads(run("doctor", "--url", url, "--json", code=1))
    assert first["id"] == "ejected"


def test_mode_tells_and_switches(served: Served, address: str) -> None:
    assert run("mode") == "active, rollout 1\n"
    assert run("mode", "shadow") == "shadow, rollout 1\n"
    assert served.engine.mode() == "shadow"
    assert run("mode", "active", "--rollout", "0.25") == "active, rollout 0.25\n"
    assert served.engine.rollout == 0.25
    assert "sleepy" in run("mode", "sleepy", code=2)
    assert run("mode", "--rollout", "1.5", code=2)


def test_reset_forgets_one_profile_or_all_of_a_resource(served: Served, address: str) -> None:
    assert run("reset", "fast", "net") == "forgotten: fast on net\n"
    assert served.engine.profile("fast", "net").n_results == 0
    assert run("reset", "slow") == "forgotten: slow on every model\n"
    assert "no resource 'nowhere'; there are 'fast', 'slow'" in run("reset", "nowhere", code=2)


@pytest.mark.parametrize("command", ["top", "why", "doctor", "mode", "reset x"])
def test_where_nobody_answers_one_line_says_what_was_tried_and_how_to_start_it(
    command: str, tmp_path: Path
) -> None:
    for place in (["--socket", str(tmp_path / "none")], ["--url", f"http://127.0.0.1:{free_port()}"]):
        told = run(*command.split(), *place, code=2)
        assert told.count("\n") == 1
        assert place[1] in told
        assert "`tailwise serve`" in told


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_what_answers_and_is_no_engine_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>")

        thread = threading.Thread(target=answer)
        thread.start()
        told = run("top", "--url", f"http://127.0.0.1:{server.getsockname()[1]}", code=2)
        thread.join()
    assert "is not an engine's admin port" in told


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--url", "ftp://x"], "http://HOST:PORT"),
        (["--url", "8245"], "http://HOST:PORT"),
        (["--url", "http://localhost:99999"], "http://HOST:PORT"),
        (["--url", "http://a", "--socket", "b"], "not both"),
    ],
)
def test_a_place_that_cannot_be_is_a_mistake(arguments: list[str], named: str) -> None:
    told = " ".join(run("mode", *arguments, code=2).split())
    assert named in told


def test_the_port_that_is_tried_is_the_one_that_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asking.PORT == PORT
    monkeypatch.delenv("TAILWISE_ADMIN", raising=False)
    assert str(asking.Place.of(None, None)) == f"http://127.0.0.1:{PORT}"


def test_the_commands_need_neither_torch_nor_a_server_and_json_needs_no_rich(
    served: Served, address: str
) -> None:
    heavy = "torch,sklearn,matplotlib,PIL,starlette,uvicorn,httpx,httpx2"
    told = run_without(heavy, MAIN, "top", "--once")
    assert told.returncode == 0, told.stderr
    assert "urgent" in told.stdout
    told = run_without(f"{heavy},rich", MAIN, "doctor", "--json")
    assert (told.returncode, json.loads(told.stdout)) == (0, []), told.stderr


def test_a_terminal_shows_it_live_until_ctrl_c(served: Served, address: str) -> None:
    outer, inner = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN, "top", "--every", "0.1"],
        stdin=inner,
        stdout=inner,
        stderr=inner,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "40"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    os.close(inner)
    seen = b""
    try:
        while b"active" not in seen:
            seen += os.read(outer, 65536)
        served.engine.mode("shadow")
        while b"shadow" not in seen:
            seen += os.read(outer, 65536)
        process.send_signal(signal.SIGINT)
        while read := _rest(outer):
            seen += read
    finally:
        os.close(outer)
        assert process.wait(60) == 0
    assert b"Traceback" not in seen


def _rest(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # how a terminal says that nobody writes any more
        return b""
