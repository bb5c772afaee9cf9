"""The rules that both libraries' transports share, without a socket."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tailwise as tw
from tailwise.adapters.exchange import Ask, by_headers
from tailwise.adapters.exchange.answer import Answer, length_of
from tailwise.adapters.exchange.backends import Backends
from tailwise.adapters.exchange.wait import LONGEST_AWAY_S, retry_after_s
from tailwise.adapters.httpx2 import Transport
from tailwise.adapters.journal import Journal
from tests.hidden import run_without

NOW_S = 1445412480.0  # Wed, 21 Oct 2015 07:28:00 GMT


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("120", 120.0),
        (" 1.5 ", 1.5),
        ("0", 0.0),
        ("Wed, 21 Oct 2015 07:28:30 GMT", 30.0),
        ("Wed, 21 Oct 2015 09:28:30 +0200", 30.0),
        ("Wednesday, 21-Oct-15 07:28:30 GMT", 30.0),
        ("Wed Oct 21 07:28:30 2015", 30.0),
        ("Wed, 21 Oct 2015 07:27:00 GMT", 0.0),
        ("Wed, 21 Oct 2065 07:28:00 GMT", LONGEST_AWAY_S),
        ("9" * 400, LONGEST_AWAY_S),
        ("-1", None),
        ("soon", None),
        ("²", None),
        ("", None),
        ("1e3", None),
        ("Wed, 99 Oct 2015 07:28:30 GMT", None),
        ("Wed, 21 Oct 99999999999999999999 07:28:30 GMT", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after_s(value, NOW_S) == seconds


@pytest.mark.parametrize(
    ("method", "status", "headers", "length"),
    [
        ("GET", 200, {"content-length": "9"}, 9),
        ("GET", 200, {}, None),
        ("HEAD", 200, {"content-length": "9"}, None),
        ("GET", 304, {"content-length": "9"}, None),
        ("GET", 200, {"content-length": "9", "transfer-encoding": "chunked"}, None),
        ("GET", 200, {"content-length": "-9"}, None),
        ("GET", 200, {"content-length": "²"}, None),
    ],
)
def test_a_body_has_the_length_that_its_head_says(
    method: str, status: int, headers: dict[str, str], length: int | None
) -> None:
    assert length_of(method, status, headers) == length


def engine(n_models: int = 1) -> tw.Engine:
    return tw.Engine(
        [tw.Resource(name) for name in "abc"],
        [tw.Model(f"m{i}", signals=("ttft", "tpot")) for i in range(n_models)],
        [tw.QoS("chat", 60.0, ttft_s=30.0)],
        seed=1,
    )


class Reader:
    """Says what it is told to say."""

    started, ended, tokens = False, None, None

    def __init__(self) -> None:
        self.fed = b""

    def feed(self, chunk: bytes) -> None:
        self.fed += chunk


def open_answer(reader: Any, status: int = 200, **headers: str) -> tuple[Answer, Any, tw.Engine]:
    world = engine()
    entry = Journal(world).select(world.route("m0", "chat"), ())
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(entry, "POST", status, named, lambda headers: reader), entry, world


def test_the_first_token_is_when_the_reader_says_so() -> None:
    reader: Any = Reader()
    answer, entry, _ = open_answer(reader)
    answer.feed(b": keep-alive")
    assert entry.decision.ttft_s is None
    reader.started, reader.tokens = True, 2
    answer.feed(b"data")
    assert entry.decision.ttft_s is not None
    answer.end()
    assert (entry.decision.end, entry.decision.tokens) == ("completed", 2)
    assert reader.fed == b": keep-alivedata"


def test_a_reader_that_knows_the_last_token_ends_the_job_there() -> None:
    reader: Any = Reader()
    answer, entry, _ = open_answer(reader)
    reader.ended = True
    answer.feed(b"data: [DONE]")
    assert entry.decision.end == "completed"
    answer.feed(b"\n\n")
    assert answer.end() is None


def test_an_answer_that_ends_before_its_last_token_has_failed() -> None:
    reader: Any = Reader()
    answer, entry, _ = open_answer(reader)
    reader.ended = False
    answer.feed(b"data: x")
    assert answer.end() is None
    assert entry.decision.end == "failed"


def test_a_count_that_falls_at_the_end_harms_nothing() -> None:
    reader: Any = Reader()
    answer, entry, _ = open_answer(reader)
    reader.started, reader.tokens = True, 5
    answer.feed(b"x")
    reader.tokens = 3
    answer.end()
    assert (entry.decision.end, entry.decision.tokens) == ("completed", 5)


@pytest.mark.parametrize(("status", "headers"), [(400, {}), (200, {"content_encoding": "gzip"})])
def test_what_cannot_be_read_is_not(status: int, headers: dict[str, str]) -> None:
    reader = Reader()
    answer, entry, _ = open_answer(reader, status, **headers)
    answer.feed(b"x")
    answer.close()
    assert reader.fed == b""
    assert entry.decision.end == "cancelled"


def test_candidates_are_the_callers_own_that_have_a_url() -> None:
    backends = Backends(engine(), {"a": "http://h:1", "c": "https://h"})
    assert backends.mask(None) == 0b101
    assert backends.mask(0b011) == 0b001
    assert backends.mask(np.array([False, True, True])) == 0b100
    assert backends.mask(None, [0]) == 0b100
    backends.add("b", "http://h:2")
    assert backends.mask(None) is None
    backends.remove("c")
    assert backends.mask(None) == 0b011
    assert backends["b"] == "http://h:2"


@pytest.mark.parametrize("url", ["h:1", "ftp://h", "http://", "http://h?q", "http://h#f", ""])
def test_a_base_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(tw.ConfigError, match="base URL"):
        Backends(engine(), {"a": url})


def test_backends_are_resources_and_there_is_one() -> None:
    with pytest.raises(tw.UnknownName):
        Backends(engine(), {"z": "http://h"})
    with pytest.raises(tw.ConfigError, match="at least one"):
        Backends(engine(), {})
    with pytest.raises(tw.ConfigError, match="attempts=0"):
        Transport(Journal(engine()), {"a": "http://h"}, attempts=0)


class Request:
    def __init__(self, headers: dict[str, str]) -> None:
        self.headers = headers


def test_headers_ask_for_the_only_model_or_for_the_one_that_was_named() -> None:
    ask = by_headers(engine(), repeatable=False)(Request({"x-tailwise-class": "chat", "x-slo-ttft-ms": "50"}))
    assert ask == Ask("m0", "chat", deadline_s=0.05, repeatable=False)
    with pytest.raises(tw.InputError, match="'m0', 'm1'"):
        by_headers(engine(2))
    assert by_headers(engine(2), "m1", "chat")(Request({})).model == "m1"


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_a_missing_library_says_what_to_install(library: str) -> None:
    done = run_without(library, f"import tailwise.adapters.{library}")
    assert f"pip install 'tailwise[{library}]'" in done.stderr


@pytest.mark.parametrize(("said", "counted"), [(0, 1), (1 << 60, 1 << 40)])
def test_a_count_that_cannot_be_is_no_error_of_the_callers(said: int, counted: int) -> None:
    reader: Any = Reader()
    answer, entry, _ = open_answer(reader)
    reader.started, reader.tokens = True, said
    answer.feed(b"x")
    assert answer.end() is None
    assert (entry.decision.end, entry.decision.tokens) == ("completed", counted)
