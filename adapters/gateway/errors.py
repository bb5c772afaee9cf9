"""What the gateway answers instead of a backend, in the shape of OpenAI's errors."""

from __future__ import annotations

from dataclasses import dataclass

from tailwise.adapters.refusal import Refusal, answer_error

__all__ = ["CLOSE", "Problem", "raw"]

CLOSE = (b"connection", b"close")


@dataclass(slots=True)
class Problem(Exception):
    """code: a stable id, which never changes its spelling. allow: methods, for 405."""

    status: int
    code: str
    message: str
    retry_after_s: float | None = None
    allow: str | None = None

    def answer(self) -> tuple[list[tuple[bytes, bytes]], bytes]:
        """Headers and body."""
        refusal = answer_error(self.status, self.code, self.message, retry_after_s=self.retry_after_s)
        headers = raw(refusal)
        if self.allow is not None:
            headers.append((b"allow", self.allow.encode()))
        if self.status == 408:  # what still comes of that request is not waited for
            headers.append(CLOSE)
        return headers, refusal.body


def raw(refusal: Refusal) -> list[tuple[bytes, bytes]]:
    """Its headers as ASGI has them."""
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in refusal.headers]
