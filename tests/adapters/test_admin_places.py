"""Where the admin app listens: a unix socket or a port, taken and given back."""

from __future__ import annotations

import http.client
import json
import os
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import httpx2
import pytest

import tailwise as tw
from tailwise.adapters.admin import serve_admin
from tests.adapters.served import Served
from tests.adapters.test_admin import CHANGE, events


@pytest.fixture
def served() -> Served:
    world = Served()
    world.serve(30)
    return world


class Unix(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("any", timeout=20)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(str(self._path))


def test_a_unix_socket_is_this_users_alone_and_gone_afterwards(served: Served, tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    with serve_admin(served.engine, path=path) as address:
        assert address == f"unix:{path}"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        asked = Unix(path)
        asked.request(
            "POST", "/api/mode", b'{"mode": "frozen"}', {**CHANGE, "content-type": "application/json"}
        )
        assert json.loads(asked.getresponse().read())["mode"] == "frozen"
        asked.request("GET", "/api/why")
        answer = asked.getresponse()
        assert (answer.status, b"no journal" in answer.read()) == (400, True)
        asked.close()
    assert served.engine.mode() == "frozen"
    assert not path.exists()


def test_what_a_dead_process_left_is_replaced_and_what_lives_is_not(served: Served, tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()  # as after kill -9: the file stays
    assert path.exists()
    with serve_admin(served.engine, path=path):
        with (
            pytest.raises(tw.ConfigError, match="somebody serves there"),
            serve_admin(served.engine, path=path),
        ):
            pass
        assert path.exists()
    path.write_text("mine")
    with pytest.raises(tw.ConfigError, match="no socket"), serve_admin(served.engine, path=path):
        pass
    assert path.read_text() == "mine"


def test_a_place_that_cannot_be_is_named(served: Served, tmp_path: Path) -> None:
    for path in (tmp_path / "no" / "folder.sock", tmp_path / ("x" * 120)):
        with (
            pytest.raises(tw.ConfigError, match="a place for a socket"),
            serve_admin(served.engine, path=path),
        ):
            pass
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for wrong in (port, 70_000):
            with pytest.raises(tw.ConfigError, match=f"port={wrong}"), serve_admin(served.engine, port=wrong):
                pass


def test_it_ends_though_somebody_reads_and_leaves_no_thread(served: Served) -> None:
    before, seen = set(threading.enumerate()), list[str]()
    reading = threading.Event()

    def read(address: str) -> None:
        with httpx2.Client(timeout=20.0) as client, client.stream("GET", f"{address}/api/events") as stream:
            for kind, _ in events(stream.iter_lines()):
                seen.append(kind)
                reading.set()
            seen.append("end")

    with serve_admin(served.engine, served.journal, port=0) as address:
        thread = threading.Thread(target=read, args=(address,))
        thread.start()
        assert reading.wait(20.0)
    thread.join(20.0)
    assert seen[-1] == "end"
    assert set(threading.enumerate()) == before


def test_a_process_that_is_killed_does_not_hang_on_the_admin_thread(tmp_path: Path) -> None:
    program = (
        "import sys, tailwise as tw\nfrom tailwise.adapters.admin import serve_admin\n"
        "engine = tw.Engine([tw.Resource('a')], [tw.Model('m')], [tw.QoS('q', 1.0)])\n"
        "with serve_admin(engine, path=sys.argv[1]):\n    print('up', flush=True)\n    sys.stdin.read()\n"
    )
    path = tmp_path / "s"
    process = subprocess.Popen(
        [sys.executable, "-c", program, os.fspath(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    process.communicate(timeout=60)
    assert (process.returncode, path.exists()) == (0, False)
