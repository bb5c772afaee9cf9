"""Asks a running engine, at its admin port or socket: what the on-call commands have in common."""

from __future__ import annotations

import http.client
import json
import os
import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import typer

__all__ = ["Admin", "Place"]

#: tailwise.adapters.admin.PORT, which must not be imported for it: that needs starlette.
PORT = 8245
VARIABLE = "TAILWISE_ADMIN"
TIMEOUT_S = 10.0

HOW = (
    "start it with `tailwise serve` (admin_port in its file) or, in a process of yours, "
    "tailwise.adapters.admin.serve_admin(engine, journal); then say --url, --socket or TAILWISE_ADMIN"
)


class _Unix(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT_S)
        self.sock.connect(self._path)


def _usable(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme == "http" and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no port
        return False


@dataclass(frozen=True, slots=True)
class Place:
    """Where the engine is: a URL, or the path of a socket. `str()` says it as the environment variable does."""

    url: str | None
    path: str | None

    @classmethod
    def of(cls, url: str | None, path: str | None) -> Place:
        """What was said, else TAILWISE_ADMIN (a URL, or unix:PATH), else the usual port of this machine."""
        if url is not None and path is not None:
            raise typer.BadParameter("--url or --socket, not both")
        if url is None and path is None:
            said = os.environ.get(VARIABLE) or f"http://127.0.0.1:{PORT}"
            if said.startswith("unix:"):
                path = said.removeprefix("unix:")
            else:
                url = said
        if url is not None and not _usable(url):
            raise typer.BadParameter(f"{url!r}: http://HOST:PORT is expected, or unix:PATH in {VARIABLE}")
        return cls(url, path)

    def __str__(self) -> str:
        return self.url if self.url is not None else f"unix:{self.path}"

    def connect(self) -> tuple[http.client.HTTPConnection, str]:
        """A connection, and what its paths start with."""
        if self.path is not None:
            return _Unix(self.path), ""
        parts = urlsplit(self.url or "")
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=TIMEOUT_S)
        return connection, parts.path.rstrip("/")


class Admin:
    """Requests to one engine; each ends the command with one line on stderr where it cannot be answered."""

    def __init__(self, url: str | None, path: str | None) -> None:
        self.place = Place.of(url, path)

    def get(self, what: str, **asked: object) -> Any:
        query = urlencode({name: value for name, value in asked.items() if value is not None})
        return self._ask("GET", f"/api/{what}" + (f"?{query}" if query else ""), None)

    def post(self, what: str, **asked: object) -> Any:
        body = {name: value for name, value in asked.items() if value is not None}
        return self._ask("POST", f"/api/{what}", json.dumps(body).encode())

    def _ask(self, method: str, path: str, body: bytes | None) -> Any:
        headers = {"content-type": "application/json", "x-tailwise-admin": "1"} if body is not None else {}
        connection, before = self.place.connect()
        try:
            connection.request(method, before + path, body, headers)
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise self.failed(
                f"no engine answers at {self.place} ({error or type(error).__name__}); {HOW}"
            ) from None
        finally:
            connection.close()
        try:
            told = json.loads(text)
        except ValueError:
            raise self.failed(f"{self.place} is not an engine's admin port: no JSON at {path}") from None
        if answer.status != 200:
            said = told.get("error") if isinstance(told, dict) else None
            message = said.get("message") if isinstance(said, dict) else said
            raise self.failed(f"{self.place}: {message or f'status {answer.status}'}")
        return told

    @staticmethod
    def failed(message: str) -> typer.Exit:
        typer.echo(f"tailwise: {message}", err=True)
        return typer.Exit(2)
