"""Backends and proxies as processes on loopback, started and stopped by id."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

__all__ = ["Process", "backend", "bare", "free_port", "nginx", "nginx_binary", "started"]

NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log error; {user}
events {{ worker_connections 8192; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream backends {{ {rule} {servers} keepalive 256; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096; keepalive_requests 1000000;
    location / {{
      proxy_pass http://backends; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off; proxy_request_buffering on; client_body_buffer_size 1m; proxy_read_timeout 300s;
      add_header x-upstream $upstream_addr always;
      proxy_next_upstream error timeout http_502 http_503 non_idempotent;
    }}
  }}
}}
"""


class Process:
    """One that listens on a port of loopback."""

    def __init__(
        self,
        command: Sequence[str],
        port: int,
        env: Mapping[str, str] | None = None,
        log: Path | None = None,
    ) -> None:
        """log: what it writes goes there."""
        self.port = port
        with open(log or os.devnull, "wb") as out:
            errors = subprocess.STDOUT if log else None
            self.process = subprocess.Popen(
                command, env={**os.environ, **(env or {})}, stdout=out, stderr=errors
            )
        give_up = time.monotonic() + 30.0
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1.0).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > give_up:
                    self.stop()
                    raise RuntimeError(f"{' '.join(command)}: does not listen on {port}") from None
                time.sleep(0.05)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def slow_down(self, factor: float) -> None:
        """Of a backend: from its next request on."""
        with urlopen(
            Request(f"{self.url}/factor", str(factor).encode(), method="POST"), timeout=10
        ) as answer:
            answer.read()

    def kill(self) -> None:
        """As a crash would: nothing is finished."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()


@contextmanager
def started(*processes: Process) -> Iterator[tuple[Process, ...]]:
    try:
        yield processes
    finally:
        for process in processes:
            process.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def backend(name: str, slots: int, service_s: float, seed: int = 0) -> Process:
    port = free_port()
    options = ("--name", name, "--port", port, "--slots", slots, "--service-s", service_s, "--seed", seed)
    return Process([sys.executable, "-m", "bench.gateway.server", *map(str, options)], port)


def bare(urls: Sequence[str]) -> Process:
    """starlette and httpx2, round robin."""
    port = free_port()
    command = (sys.executable, "-m", "uvicorn", "bench.gateway.bare:app", "--port", str(port))
    quiet = ("--log-level", "critical", "--no-access-log", "--http", "httptools")
    return Process([*command, *quiet], port, {"BACKENDS": ",".join(urls)})


def nginx_binary() -> str | None:
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def nginx(urls: Sequence[str], rule: str, folder: Path) -> Process:
    """rule: "" is round robin, "least_conn;" least connections. Where a backend does not answer it tries the next."""
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    servers = " ".join(f"server {url.removeprefix('http://')};" for url in urls)
    user = "user root;" if os.geteuid() == 0 else ""
    config = folder / "nginx.conf"
    config.write_text(
        NGINX.format(folder=folder, port=port, rule=rule, servers=servers, user=user), encoding="utf-8"
    )
    binary = nginx_binary()
    if binary is None:
        raise RuntimeError("nginx is not installed: apt-get install nginx-light")
    return Process([binary, "-p", str(folder), "-c", str(config)], port)
