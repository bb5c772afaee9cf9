"""From a request to the job that it stands for: model, class, numbers, and the body as a backend gets it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from tailwise.adapters.exchange import Ask
from tailwise.adapters.gateway.answers import StreamReader, WholeReader, reader_for
from tailwise.adapters.gateway.errors import Problem
from tailwise.adapters.gateway.fleet import Fleet, Served
from tailwise.adapters.gateway.headers import first
from tailwise.adapters.gateway.openai import Asked, parse
from tailwise.adapters.gateway.past import Past
from tailwise.adapters.slo import Slo, read

__all__ = ["Job", "read_job"]

#: Names the model where the body does not: a form with a file, a GET.
MODEL = b"x-tailwise-model"
#: What is asked by POST alone.
POSTED = frozenset(("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses"))


class Job:
    """One request as a job. body: what is sent. asked: what was read of it, None where it is not OpenAI's."""

    __slots__ = ("_chain", "_past", "_readers", "asked", "body", "model", "served", "slo", "x")

    def __init__(
        self, served: Served, slo: Slo, x: tuple[float, ...], body: bytes, asked: Asked | None, past: Past
    ) -> None:
        whole = served.whole if asked is None or not asked.stream else None
        self.served = served
        self.model = served.name if whole is None else whole.model
        self.slo = slo if whole is None else whole.slo(slo)
        self.x = x
        self.body = body
        self.asked = asked
        self._past = past
        self._chain = past.chain(served.name, asked) if "uncached" in served.given else None
        self._readers: list[StreamReader | WholeReader] = []

    def ask(self, default: str | None) -> Ask:
        """default: the backend that somebody else chose."""
        slo = self.slo
        return Ask(
            self.model,
            slo.qos,
            self.x,
            Z=self._given if self.served.given else None,
            deadline_s=slo.budget_s,
            tpot_s=slo.tpot_s,
            default=default,
            request_id=slo.request_id,
            tokens=None if self.asked is None else self._reader,
        )

    def _given(self, route: Any) -> Any:
        n_tokens = self.x[0] if self.asked is not None else math.nan
        return self._past.fill(route.buffer(), self.served.given, self._chain, n_tokens, self.slo.session)

    def sent_to(self, lane: int) -> None:
        """A backend gets it: its prompt is what that one has read now, and its session is there."""
        self._past.note(self._chain, self.slo.session, lane)

    def _reader(self, headers: Mapping[str, str]) -> StreamReader | WholeReader | None:
        reader = reader_for(headers)
        if reader is not None:
            self._readers.append(reader)
        return reader

    def learn(self) -> None:
        """At the end of its answer: how many tokens the prompt had."""
        for reader in self._readers:
            reader.finish()
            if self.asked is not None and reader.prompt_tokens is not None:
                self.served.ratio.learn(self.asked, reader.prompt_tokens)


def read_job(fleet: Fleet, scope: Any, body: bytes) -> Job:
    """Raises Problem, HeaderError."""
    path, headers = scope["path"], scope["headers"]
    if "/." in path and not {".", ".."}.isdisjoint(path.split("/")):
        # a backend may take it for another path than the one that was looked at here
        raise Problem(404, "unknown_path", f"{_shown(path)} has a segment of dots")
    served = fleet.at(path)
    if served is not None:
        x = tuple(_feature(source, headers, body) for source in served.table.features)
        return Job(served, _slo(served, headers), x, body, None, fleet.past)
    if not path.startswith("/v1/"):
        raise Problem(404, "unknown_path", f"there is nothing at {_shown(path)}")
    if path in POSTED and scope["method"] != "POST":
        raise Problem(405, "method_not_allowed", f"{path} is asked by POST", allow="POST")
    served, asked = _named(fleet, path, headers, body)
    slo = _slo(served, headers)
    table = served.table
    if asked is None:
        return Job(served, slo, (table.typical_prompt, table.typical_answer), body, None, fleet.past)
    x = (served.ratio.tokens(asked), float(asked.max_tokens or table.typical_answer))
    return Job(served, slo, x, _rewritten(served, asked, body), asked, fleet.past)


def _slo(served: Served, headers: Sequence[tuple[bytes, bytes]]) -> Slo:
    asking = [pair for pair in headers if pair[0].startswith(b"x-")]  # as all that `read` knows
    return read(asking, served.classes, served.usual.qos) if asking else served.usual


def _named(
    fleet: Fleet, path: str, headers: Sequence[tuple[bytes, bytes]], body: bytes
) -> tuple[Served, Asked | None]:
    """The model that the body names, else a header."""
    asked = parse(body) if body else "the body is empty"
    said = first(headers, MODEL)
    if isinstance(asked, Asked):
        name = asked.model
    elif said is None:
        raise Problem(400, "bad_request", f"{asked}; {MODEL.decode()} can name the model of what is no JSON")
    else:
        name = said.decode("latin-1")
    served = fleet.by_name.get(name)
    if served is None or served.table.api != "openai":
        raise Problem(404, "model_not_found", f"there is no model {_shown(name)}")
    return served, asked if isinstance(asked, Asked) else None


def _rewritten(served: Served, asked: Asked, body: bytes) -> bytes:
    """As it came, byte for byte, unless the backend knows the model by another name or its usage is wanted."""
    table = served.table
    name = table.backend_name or table.name
    wants_usage = table.include_usage and asked.stream and "stream_options" not in asked.data
    if asked.model == name and not wants_usage:
        return body
    data = asked.data | {"model": name}
    if wants_usage:
        data["stream_options"] = {"include_usage": True}
    return json.dumps(data, separators=(",", ":")).encode()


def _feature(source: Any, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> float:
    """A number of a request to a model behind plain HTTP. Raises Problem."""
    if source.header is None:
        return max(1.0, float(len(body)))
    said = first(headers, source.header)
    if said is None:
        return source.typical or 0.0
    try:
        value = float(said)
    except ValueError:
        value = math.nan
    if not (0.0 < value < math.inf or (value == 0.0 and source.typical is None)):
        raise Problem(400, "bad_header", f"{source.header.decode()}: a number > 0 is expected")
    return value


def _shown(text: str) -> str:
    """Short, and safe in a log."""
    return ascii(text if len(text) <= 80 else text[:80] + "...")
