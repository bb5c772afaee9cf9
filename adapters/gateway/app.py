"""The gateway as an ASGI application: from a request to its backend and back, chunk by chunk."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import httpx2

from tailwise.adapters.gateway.client import Gone, Receive, Scope, Send, Watch, read_body, send_whole
from tailwise.adapters.gateway.errors import Problem, raw
from tailwise.adapters.gateway.fleet import Fleet
from tailwise.adapters.gateway.headers import answered, first, forwarded
from tailwise.adapters.gateway.job import Job, read_job
from tailwise.adapters.gateway.queue import Queue
from tailwise.adapters.gateway.rule import BACKEND, Rule
from tailwise.adapters.gateway.upstream import Answer, Forwarder, Outgoing, Queueing, Upstreams
from tailwise.adapters.refusal import refuse
from tailwise.adapters.slo import HeaderError
from tailwise.errors import CapacityError, JobExpired

__all__ = ["App"]

log = logging.getLogger("tailwise.gateway")


class App:
    """One process's gateway. `fleet.engine` and `fleet.journal` are what the admin port shows."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.serving = fleet.config.serving
        self.n_open = 0  #: requests now
        self.queue = Queue(fleet.journal, fleet.engine.resources) if self.serving.queue else None
        self._rule = Rule(self.serving.rule)
        backends = fleet.config.backends
        self._forwarder = self._forwarder_to(Upstreams(backends))

    def _forwarder_to(self, upstreams: Upstreams) -> Forwarder:
        fleet, serving = self.fleet, self.serving
        urls = {backend.name: backend.url for backend in fleet.config.backends}
        options: dict[str, Any] = {
            "attempts": serving.attempts,
            "hedge": serving.hedge,
            "give_up": True if serving.give_up else None,
            "inner": upstreams,
            "on_response": fleet.reports.headers,
        }
        if self.queue is not None:
            return Queueing(self.queue, fleet.journal, urls, **options)
        return Forwarder(fleet.journal, urls, **options)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        async with self.fleet.reports:
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await self._forwarder.aclose()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.n_open += 1
        try:
            await self._serve(scope, receive, send)
        except Problem as problem:
            log.info("%s: %d %s", _asked(scope), problem.status, problem.code)
            await send_whole(send, problem.status, *problem.answer())
        except (HeaderError, JobExpired, CapacityError) as error:
            refusal = refuse(error)
            log.info("%s: %d %s", _asked(scope), refusal.status, error)
            await send_whole(send, refusal.status, raw(refusal), refusal.body)
        except Gone:
            log.debug("%s: the client is gone", _asked(scope))
        finally:
            self.n_open -= 1

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        own = self._own(scope)
        if own is not None:
            body = json.dumps(own).encode()
            headers = ((b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)))
            await send_whole(send, 200, headers, body)
            return
        serving = self.serving
        if self.n_open > serving.max_open:
            raise Problem(503, "too_many_open", f"{serving.max_open} requests are open", retry_after_s=1.0)
        body = await read_body(scope, receive, most=serving.max_body_bytes, seconds=serving.body_s)
        job = read_job(self.fleet, scope, body)
        request = self._request(scope, job)
        async with Watch(receive) as watch:
            answer = await self._send(request, watch)
            try:
                await self._pass_on(answer, send, watch)
            finally:
                await answer.body.aclose()
                job.learn()

    def _request(self, scope: Scope, job: Job) -> Outgoing:
        target: bytes = scope["raw_path"]
        if scope["query_string"]:
            target += b"?" + scope["query_string"]
        named = first(scope["headers"], BACKEND)
        default = self._rule.choose(job.served.name, job.served.backends, named) if self._looks_on else None
        headers = forwarded(scope, self.serving.forwarded)
        return Outgoing(scope["method"], target, headers, job, job.ask(default))

    @property
    def _looks_on(self) -> bool:
        """Whether the choice may be somebody else's."""
        engine = self.fleet.engine
        mode = engine.mode()
        return mode in ("shadow", "bypass") or (mode == "active" and engine.rollout < 1.0)

    async def _send(self, request: Outgoing, watch: Watch) -> Answer:
        """Raises Problem where no backend answered."""
        try:
            return await self._forwarder.handle_async_request(request)
        except asyncio.CancelledError:
            if watch.gone:
                raise
            # by the server, which stops: the time that open requests have is over
            raise Problem(503, "stopping", "the gateway stops", retry_after_s=1.0) from None
        except httpx2.TimeoutException as error:
            raise Problem(504, "timed_out", f"no backend answered in time: {_said(error)}") from None
        except httpx2.TransportError as error:
            raise Problem(502, "backend_failed", f"no backend answered: {_said(error)}") from None

    async def _pass_on(self, answer: Answer, send: Send, watch: Watch) -> None:
        status, decision = answer.status, answer.entry.decision
        if not 200 <= status <= 599:
            raise Problem(502, "backend_failed", f"a backend answered with status {status}")
        headers = answered(status, answer.headers)
        if self.serving.tell:
            told = {b"x-tailwise-backend": decision.resource, b"x-tailwise-preferred": decision.preferred}
            headers += [(name, value.encode()) for name, value in told.items() if value is not None]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        try:
            async for chunk in answer.body:
                if chunk:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except asyncio.CancelledError:
            if watch.gone:
                raise
            log.warning("an answer of %s is cut off, since the gateway stops", decision.resource)
            return
        except httpx2.TransportError as error:
            # too late for another status: the server closes the connection, and so the client sees an answer cut off
            log.warning("%s broke off its answer: %s", decision.resource, _said(error))
            return
        watch.over()
        await send({"type": "http.response.body", "body": b""})

    def _own(self, scope: Scope) -> dict[str, Any] | None:
        """What the gateway answers by itself; None = it is for a backend. Raises Problem."""
        path = scope["path"]
        if path != "/healthz" and path != "/v1/models" and not path.startswith("/v1/models/"):
            return None
        if scope["method"] not in ("GET", "HEAD"):
            raise Problem(405, "method_not_allowed", f"{path[:80]!a} is asked by GET", allow="GET, HEAD")
        if path == "/healthz":
            return {"status": "ok"}
        models = {
            name: {"id": name, "object": "model", "created": 0, "owned_by": "tailwise"}
            for name, served in self.fleet.by_name.items()
            if served.table.api == "openai"
        }
        if path == "/v1/models":
            return {"object": "list", "data": list(models.values())}
        if (found := models.get(path[11:])) is None:
            raise Problem(404, "model_not_found", f"there is no model {path[11:91]!a}")
        return found


def _asked(scope: Scope) -> str:
    """For the log: without the query, in which keys stand, and on one line whatever the path says."""
    return f"{scope['method']} {ascii(scope['path'][:80])[1:-1]}"


def _said(error: Exception) -> str:
    """What happened, without an address: that is the operator's."""
    return type(error).__name__
