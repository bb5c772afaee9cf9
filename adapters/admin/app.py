"""The admin app: what it answers, and how."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterable
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tailwise.adapters.admin.events import Events
from tailwise.adapters.admin.guard import Guard, refused
from tailwise.adapters.curves import curves
from tailwise.adapters.findings import doctor
from tailwise.adapters.journal import Journal
from tailwise.adapters.view import Headroom, Reporting, as_json, snapshot, why
from tailwise.engine import Engine
from tailwise.errors import InputError, TailwiseError

__all__ = ["Admin"]

log = logging.getLogger("tailwise.admin")

#: Bytes of a body: each is a name or two.
MOST_BYTES = 4096

_PAGE = {
    "": ("page.html", "text/html"),
    "page.css": ("page.css", "text/css"),
    "page.js": ("page.js", "text/javascript"),
    "draw.js": ("draw.js", "text/javascript"),
    "decisions.js": ("decisions.js", "text/javascript"),
}
_HEADERS = {
    "cache-control": "no-cache",
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class Admin:
    """The ASGI app, for a server of its own or mounted into another one.

    journal, poller, headroom: as in `view.snapshot`; what they know is not shown where they are None. hosts: names
    beside localhost under which it may be asked. `close()` ends its streams, for which servers wait.
    """

    def __init__(
        self,
        engine: Engine,
        journal: Journal | None = None,
        poller: Reporting | None = None,
        headroom: Headroom | None = None,
        *,
        hosts: Iterable[str] = (),
    ) -> None:
        self.engine, self.journal, self.poller = engine, journal, poller
        self._picture = _Shared(lambda: snapshot(engine, journal, poller, headroom), 0.5)
        self._findings = _Shared(lambda: [one.to_json() for one in doctor(engine, journal, poller)], 2.0)
        self._events = Events(self._picture.text, self._findings.text, journal)
        gets = {"snapshot": self._snapshot, "why": self._why, "doctor": self._doctor, "curves": self._curves}
        posts = {"mode": self._mode, "reset": self._reset, "drain": self._drain, "undrain": self._undrain}
        routes = [
            *(Route(f"/{path}", _static(*named)) for path, named in _PAGE.items()),
            *(Route(f"/api/{name}", answer) for name, answer in gets.items()),
            *(Route(f"/api/{name}", answer, methods=["POST"]) for name, answer in posts.items()),
            Route("/api/events", self._events, methods=["GET"]),
        ]
        errors: dict[Any, Any] = {TailwiseError: _mistake, HTTPException: _unknown}
        self._app = Guard(Starlette(routes=routes, exception_handlers=errors), hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    def close(self) -> None:
        """Ends open streams within a tick, from any thread."""
        self._events.close()

    def _snapshot(self, request: Request) -> Response:
        return _told(self._picture.text())

    def _doctor(self, request: Request) -> Response:
        return _told(self._findings.text())

    def _why(self, request: Request) -> Response:
        asked = request.query_params
        if self.journal is None:
            raise InputError("this engine has no journal: nobody wrote down what it refused")
        number = asked.get("n", "10")
        if not number.isdecimal() or len(number) > 6:
            raise InputError(f"n={number!r}: a whole number is expected")
        found = why(
            self.journal,
            int(number),
            request_id=asked.get("request"),
            reason=asked.get("reason"),
            explained=asked.get("explained") == "1",
        )
        return _told(json.dumps(found))

    def _curves(self, request: Request) -> Response:
        asked = (request.query_params.get(name) or None for name in ("model", "feature", "signal"))
        return _told(json.dumps(as_json(curves(self.engine, *asked))))

    async def _mode(self, request: Request) -> Response:
        asked = await _body(request, "mode", "rollout")
        before = self.engine.mode(), self.engine.rollout
        self.engine.mode(asked.get("mode"), rollout=asked.get("rollout"))
        now = self.engine.mode(), self.engine.rollout
        log.warning("mode %s (rollout %g), before: %s (%g)", *now, *before)
        return JSONResponse({"mode": now[0], "rollout": now[1]})

    async def _reset(self, request: Request) -> Response:
        asked = await _body(request, "resource", "model")
        self.engine.reset(asked.get("resource", ""), asked.get("model"))
        log.warning("reset %s on %s", asked["resource"], asked.get("model") or "every model")
        return JSONResponse({"resource": asked["resource"], "model": asked.get("model")})

    async def _drain(self, request: Request) -> Response:
        asked = await _body(request, "resource")
        self.engine.drain(asked.get("resource", ""))
        log.warning("drain %s", asked["resource"])
        return JSONResponse({"resource": asked["resource"], "drained": True})

    async def _undrain(self, request: Request) -> Response:
        asked = await _body(request, "resource")
        self.engine.undrain(asked.get("resource", ""))
        log.warning("undrain %s", asked["resource"])
        return JSONResponse({"resource": asked["resource"], "drained": False})


class _Shared:
    """What several readers ask for about as often is worked out once for them: as JSON, at most `age_s` old."""

    def __init__(self, look: Any, age_s: float) -> None:
        self._look, self._age_s = look, age_s
        self._lock = threading.Lock()
        self._text, self._until_s = "", -1.0

    def text(self) -> str:
        with self._lock:
            if time.monotonic() >= self._until_s:
                self._text = json.dumps(self._look(), allow_nan=False)
                self._until_s = time.monotonic() + self._age_s
            return self._text


async def _body(request: Request, *known: str) -> dict[str, Any]:
    """A JSON object with these keys, or some of them. Raises InputError."""
    expected = f"a JSON object with {' and '.join(map(repr, known))} is expected"
    text = b""
    async for piece in request.stream():
        text += piece
        if len(text) > MOST_BYTES:
            raise InputError(f"more than {MOST_BYTES} bytes: {expected}")
    try:
        asked = json.loads(text)
    except (ValueError, RecursionError):
        raise InputError(f"no JSON: {expected}") from None
    if not isinstance(asked, dict) or not asked.keys() <= set(known):
        raise InputError(f"{text.decode(errors='replace')[:200]}: {expected}")
    return asked


def _static(name: str, kind: str) -> Any:
    body = (files("tailwise.adapters.dashboard") / name).read_bytes()

    async def answer(request: Request) -> Response:
        return Response(body, media_type=kind, headers=_HEADERS)

    return answer


def _told(text: str) -> Response:
    return Response(text, media_type="application/json", headers={"cache-control": "no-store"})


async def _mistake(request: Request, error: TailwiseError) -> Response:
    return refused(400, type(error).__name__, str(error))


async def _unknown(request: Request, error: HTTPException) -> Response:
    return refused(error.status_code, "not_found" if error.status_code == 404 else "http", error.detail)
