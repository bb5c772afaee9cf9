"""How answers end, and when they are not waited for: what the job of each is told."""

from __future__ import annotations

import gc
import importlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tailwise.adapters.exchange import Ask
from tests.adapters.transport.origin import Origin, Step, chunk, events, whole
from tests.adapters.transport.world import CHAT, World

HELLO = [whole(b"hello", server="a", x_twice="1")]


@pytest.mark.parametrize(
    "cut",
    [
        [b"HTTP/1.1 200 Said\r\ncontent-length: 9\r\n\r\nhell", Step.CLOSE],
        [events(), chunk(b"hell"), Step.CLOSE],
        [events(), chunk(b"hell"), Step.ABORT],
        [events(), chunk(b"hell"), b"zz\r\n", Step.CLOSE],
    ],
)
def test_an_answer_that_is_cut_off_has_failed_and_is_not_tried_again(flavour: Any, cut: Any) -> None:
    with World(Origin(cut), Origin(HELLO)) as world:
        caller = world.caller(flavour)
        with pytest.raises((caller.http.RemoteProtocolError, caller.http.ReadError)):
            caller.send()
        assert world.decisions == [("a", "failed")]
        assert world.engine.profile("a", "net").n == 0.0


def test_whoever_stops_reading_cancels_and_the_connection_is_closed(flavour: Any) -> None:
    with World(Origin([events(), chunk(b"one"), Step.HOLD])) as world:
        assert world.caller(flavour).read(1) == b"one"
        assert world.decisions == [("a", "cancelled")]
        world.origins["a"].wait_until_left()


def test_an_endless_answer_can_be_left(flavour: Any) -> None:
    with World(Origin([events(), Step.ENDLESS])) as world:
        assert world.caller(flavour).read(3).startswith(b"xxx")
        assert world.decisions == [("a", "cancelled")]
        world.origins["a"].wait_until_left()


def test_an_answer_read_to_its_known_length_is_complete_though_it_is_hung_up(flavour: Any) -> None:
    with World(Origin(HELLO)) as world:
        assert world.caller(flavour).read(1) == b"hello"
        assert world.decisions == [("a", "completed")]


def test_a_response_that_nobody_reads_is_cancelled_when_it_is_collected(flavour: Any) -> None:
    with World(Origin([events(), chunk(b"one"), Step.HOLD])) as world:
        caller = world.caller(flavour)
        request = caller._client.build_request("POST", "/v1/x", content=b"ask")
        response = caller.run(caller._client.send(request, stream=True))
        assert world.engine.in_flight == 1
        del response, request
        gc.collect()
        assert world.decisions == [("a", "cancelled")]


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_a_response_that_nobody_closes_is_closed_by_the_next_request_never_by_the_collector(
    library: str,
) -> None:
    """A pool's lock is not reentrant, and the collector may come while it is held."""
    http: Any = importlib.import_module(library)
    closed: list[str] = []

    class Stream(http.SyncByteStream):  # type: ignore[name-defined, misc]
        def __iter__(self) -> Iterator[bytes]:
            try:
                yield b"one"
                yield b"two"
            finally:
                closed.append("iterator")

        def close(self) -> None:
            closed.append("stream")

    class Inner(http.BaseTransport):  # type: ignore[name-defined, misc]
        def handle_request(self, request: Any) -> Any:
            return http.Response(200, stream=Stream())

    with World(Origin(HELLO)) as world:
        caller = world.caller((library, False), inner=Inner())
        request = caller._client.build_request("POST", "/v1/x", content=b"ask")
        response = caller._client.send(request, stream=True)
        response.cycle = response
        del response, request
        gc.collect()
        assert world.decisions == [("a", "cancelled")]
        assert closed == []
        caller.send()
        assert closed[0] == "stream"


def test_a_head_has_no_body_whatever_its_length_says(flavour: Any) -> None:
    with World(Origin([b"HTTP/1.1 200 Said\r\ncontent-length: 9\r\n\r\n"])) as world:
        assert world.caller(flavour).send("HEAD", content=None).content == b""
        assert world.decisions == [("a", "completed")]


def test_a_backend_that_hangs_is_given_up_at_the_deadline(flavour: Any) -> None:
    with World(Origin([Step.HOLD])) as world:
        caller = world.caller(flavour, Ask("net", "plain", deadline_s=0.2))
        with pytest.raises(caller.http.ReadTimeout):
            caller.send()
        assert world.decisions == [("a", "timed_out")]
        world.origins["a"].wait_until_left()


def test_the_callers_own_timeout_is_heeded_where_it_is_shorter(flavour: Any) -> None:
    with World(Origin([Step.HOLD])) as world:
        caller = world.caller(flavour, timeout=0.2)
        with pytest.raises(caller.http.ReadTimeout):
            caller.send()
        assert world.decisions == [("a", "timed_out")]


@pytest.mark.parametrize(
    ("ask", "options"),
    [(Ask("net", "plain", deadline_s=1e-3), {"give_up": False}), (Ask("net", "hasty"), {})],
    ids=["told", "promised"],
)
def test_a_late_answer_is_waited_for_unless_the_request_itself_set_the_deadline(
    flavour: Any, ask: Ask, options: dict[str, bool]
) -> None:
    with World(Origin([Step.HOLD, whole(b"late")])) as world:
        caller = world.caller(flavour, ask, **options)
        threading.Timer(0.05, world.origins["a"].let_go).start()
        assert caller.send().content == b"late"
        [decision] = world.journal.decisions
        assert (decision.end, decision.on_time) == ("completed", False)


def test_the_first_token_is_the_first_data_of_an_event_stream(flavour: Any) -> None:
    stream = [events(), chunk(b": hello\n\n"), chunk(b"da"), chunk(b"ta: x\n\n"), chunk(b"")]
    with World(Origin(stream, [whole(b"{}")])) as world:
        caller = world.caller(flavour, CHAT)
        caller.send()
        caller.send()
        streamed, whole_one = world.journal.decisions
        assert streamed.ttft_s is not None
        assert 0.0 < streamed.ttft_s <= streamed.completion_s
        assert whole_one.ttft_s is None  # it is not inferred from the end
        assert world.engine.profile("a", "llm", signal="ttft").n == 1.0
