"""One backend, a process of its own: `python -m bench.gateway.server --port 8001 --slots 4 --service-s 0.02`.

A real HTTP server (uvicorn) with a bounded number of slots, in front of which requests queue. What a request takes
there is drawn (lognormal) and waited for, not computed: the cores are for the proxies that are compared. POST /factor
with a number turns it slower by that from the next request on.
"""

from __future__ import annotations

import argparse
import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn

#: Scale of ln(service seconds): what real inference of one input size shows.
SPREAD = 0.2


class Backend:
    """The ASGI app."""

    def __init__(self, name: str, slots: int, service_s: float, seed: int) -> None:
        self._name = name.encode()
        self._slots = asyncio.Semaphore(slots)
        self._service_s = service_s
        self._factor = 1.0
        self._random = random.Random(seed)

    async def __call__(
        self,
        scope: dict[str, Any],
        receive: Callable[[], Awaitable[dict[str, Any]]],
        send: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
        if scope["type"] != "http":
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        if scope["path"] == "/factor":
            self._factor = float(body)
        elif self._service_s:
            async with self._slots:
                drawn = self._random.lognormvariate(0.0, SPREAD)
                await asyncio.sleep(self._service_s * self._factor * drawn)
        answer = b'{"served_by": "' + self._name + b'"}'
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(answer)).encode()),
            (b"x-served-by", self._name),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", default="backend")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument(
        "--service-s", type=float, default=0.0, help="Median seconds in a slot; 0 answers at once."
    )
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    app = Backend(args.name, args.slots, args.service_s, args.seed)
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=args.port,
        log_level="error",
        http="httptools",
        access_log=False,
        lifespan="off",
    )


if __name__ == "__main__":
    main()
