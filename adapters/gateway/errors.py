"""The gateway's own errors, in the shape of OpenAI's."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

__all__ = ["Problem"]


@dataclass(slots=True)
class Problem(Exception):
    """What the gateway answers instead of a backend. code: a stable id, which never changes its spelling."""

    status: int
    code: str
    message: str
    retry_after_s: float | None = None
    allow: str | None = None  #: methods, for 405
    close: bool = False  #: the connection too: what the client still sends is not read

    def body(self) -> bytes:
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        error = {"message": self.message, "type": kind, "param": None, "code": self.code}
        return json.dumps({"error": error}).encode()

    def headers(self, body: bytes) -> list[tuple[bytes, bytes]]:
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"x-tailwise-reason", self.code.encode()),
        ]
        if self.retry_after_s is not None:
            headers.append((b"retry-after", b"%d" % max(1, math.ceil(self.retry_after_s))))
        if self.allow is not None:
            headers.append((b"allow", self.allow.encode()))
        if self.close:
            headers.append((b"connection", b"close"))
        return headers
