"""A client over several backends: where a request goes, what is passed on, and what its job is told."""

from __future__ import annotations

import gc
import importlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tailwise.adapters.exchange import Ask
from tailwise.adapters.load import Intake
from tests.adapters.transport.origin import Origin, Step, chunk, events, whole
from tests.adapters.transport.world import CHAT, FLAVOURS, World

HELLO = [whole(b"hello", server="a", x_twice="1")]
DOWN = [Step.CLOSE]


@pytest.fixture(params=FLAVOURS, ids=lambda f: f"{f[0]}-{'async' if f[1] else 'sync'}")
def flavour(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_a_request_goes_to_a_backend_as_it_was_and_its_answer_comes_back(flavour: Any) -> None:
    with World(Origin(HELLO), Origin(HELLO)) as world:
        caller = world.caller(flavour, tell_deadline=True)
        response = caller.send("PUT", "/v1/a%2Fb?q=%20x&q=2", b"body", headers={"x-own": "1"})
        assert (response.status_code, response.content) == (200, b"hello")
        assert (response.headers["server"], response.headers["x-twice"]) == ("a", "1")
        [got] = world.origins["a"].received
        assert (got.method, got.target, got.body) == ("PUT", "/v1/a%2Fb?q=%20x&q=2", b"body")
        assert got.headers["host"] == world.urls["a"].removeprefix("http://")
        assert got.headers["x-own"] == "1"
        assert 0.0 < float(got.headers["x-tailwise-deadline-ms"]) <= 60_000.0
        assert response.extensions["tailwise"].decision.end == "completed"
        assert world.decisions == [("a", "completed")]
        assert world.engine.profile("a", "net").n == 1.0


def test_a_base_url_may_have_a_path(flavour: Any) -> None:
    with World(Origin(HELLO)) as world:
        world.caller(flavour, urls={"a": world.urls["a"] + "/base/"}).send("GET", "/v1/x", None)
        assert world.origins["a"].received[0].target == "/base/v1/x"


@pytest.mark.parametrize(
    "first",
    [
        [Step.CLOSE],
        [b"HTTP/1.1 200 O", Step.CLOSE],
        [b"garbage\r\n\r\n", Step.CLOSE],
        [Step.ABORT],
        [whole(b"oh", 500)],
        [whole(b"", 503)],
        [whole(b"", 429, retry_after="7")],
        [events(), Step.CLOSE],
        [b"HTTP/1.1 200 Said\r\ncontent-length: 9\r\n\r\n", Step.CLOSE],
    ],
)
def test_what_fails_before_its_first_byte_is_tried_elsewhere(flavour: Any, first: Any) -> None:
    with World(Origin(first), Origin(HELLO)) as world:
        assert world.caller(flavour).send().content == b"hello"
        assert world.decisions == [("a", "failed"), ("b", "completed")]
        assert world.origins["b"].received[0].body == b"ask"
        assert world.ended == {"completed": 1}
        assert world.engine.profile("a", "net").n == 0.0


def test_a_backend_that_cannot_be_reached_is_passed_over_whatever_the_body(flavour: Any) -> None:
    def body() -> Iterator[bytes]:
        yield b"once"

    async def abody() -> Any:
        yield b"once"

    with World(Origin(HELLO), Origin(HELLO)) as world:
        with world.origins["b"].__class__() as gone:
            dead = gone.url
        caller = world.caller(flavour, urls={"a": dead, "b": world.urls["b"]})
        assert caller.send(content=abody() if flavour[1] else body()).content == b"hello"
        assert world.origins["b"].received[0].body == b"once"
        assert world.decisions == [("a", "failed"), ("b", "completed")]


def test_a_body_that_was_read_is_not_sent_again(flavour: Any) -> None:
    def body() -> Iterator[bytes]:
        yield b"once"

    async def abody() -> Any:
        yield b"once"

    with World(Origin([whole(b"oh", 500)]), Origin(HELLO)) as world:
        response = world.caller(flavour).send(content=abody() if flavour[1] else body())
        assert (response.status_code, response.content) == (500, b"oh")
        assert world.decisions == [("a", "failed")]


def test_what_may_not_be_repeated_is_tried_elsewhere_only_where_it_was_turned_away(flavour: Any) -> None:
    scripts = [[whole(b"", 429)], [whole(b"oh", 500)], DOWN]
    with World(Origin(*scripts), Origin(HELLO)) as world:
        caller = world.caller(flavour, Ask("net", "plain", repeatable=False))
        assert caller.send().content == b"hello"
        assert caller.send().content == b"oh"
        with pytest.raises(caller.http.RemoteProtocolError):
            caller.send()
        ends = [("a", "failed"), ("b", "completed"), ("a", "failed"), ("a", "failed")]
        assert world.decisions == ends


def test_the_last_failure_is_the_callers_with_its_body(flavour: Any) -> None:
    with World(Origin([whole(b"oh", 500)]), Origin([whole(b"no", 503, retry_after="3")])) as world:
        response = world.caller(flavour).send()
        assert (response.status_code, response.content) == (503, b"no")
        assert response.headers["retry-after"] == "3"
        assert world.decisions == [("a", "failed"), ("b", "failed")]
        assert world.ended == {"failed": 1}


def test_where_no_other_is_left_the_first_failure_is_the_callers(flavour: Any) -> None:
    with World(Origin([whole(b"oh", 500)])) as world:
        assert world.caller(flavour, attempts=5).send().content == b"oh"
        assert world.ended == {"failed": 1}


def test_one_attempt_is_one(flavour: Any) -> None:
    with World(Origin(DOWN), Origin(HELLO)) as world:
        caller = world.caller(flavour, attempts=1)
        with pytest.raises(caller.http.RemoteProtocolError):
            caller.send()
        assert world.decisions == [("a", "failed")]


def test_retry_after_keeps_a_backend_alone(flavour: Any) -> None:
    with World(Origin([whole(b"", 429, retry_after="600")], HELLO), Origin(HELLO)) as world:
        caller = world.caller(flavour)
        for _ in range(3):
            caller.send()
        ends = [("a", "failed"), ("b", "completed"), ("b", "completed"), ("b", "completed")]
        assert world.decisions == ends


@pytest.mark.parametrize("status", [400, 404, 302])
def test_what_the_caller_did_wrong_teaches_nothing(flavour: Any, status: int) -> None:
    with World(Origin([whole(b"oh", status)]), Origin(HELLO)) as world:
        response = world.caller(flavour).send()
        assert (response.status_code, response.content) == (status, b"oh")
        assert world.decisions == [("a", "cancelled")]
        assert world.engine.profile("a", "net").n == 0.0
        assert world.engine.health("a").failures == 0


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


def test_a_refused_job_is_answered_without_a_backend(flavour: Any) -> None:
    with World(Origin(HELLO)) as world:
        world.engine.drain("a")
        response = world.caller(flavour).send()
        assert response.status_code == 503
        assert response.json()["error"]["code"] == "no_resource"
        assert not response.extensions["tailwise"].admitted
        assert world.origins["a"].received == []


def test_a_resource_without_a_url_gets_nothing(flavour: Any) -> None:
    with World(Origin(HELLO), Origin(HELLO)) as world:
        caller = world.caller(flavour, urls={"b": world.urls["b"]})
        caller.send()
        caller.transport.backends.add("a", world.urls["a"])
        caller.send()
        assert world.decisions == [("b", "completed"), ("a", "completed")]


def test_a_request_that_asks_for_no_job_goes_where_it_was_going(flavour: Any) -> None:
    with World(Origin(HELLO)) as world:
        caller = world.caller(flavour, lambda request: None)
        assert caller.send("GET", world.urls["a"] + "/health", None).content == b"hello"
        assert world.decisions == []


def test_a_request_may_carry_its_own_ask(flavour: Any) -> None:
    with World(Origin(HELLO)) as world:
        ask = Ask("net", "plain", request_id="r1", deadline_s=9.0)
        world.caller(flavour, None).send(extensions={"tailwise": ask})
        [decision] = world.journal.decisions
        assert (decision.request_id, decision.left_s) == ("r1", 9.0)


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


def test_the_answers_headers_are_told_by_resource_and_a_hook_that_raises_harms_nothing(flavour: Any) -> None:
    told: list[tuple[str, str]] = []

    def hook(resource: str, headers: Any) -> None:
        told.append((resource, headers["endpoint-load-metrics"]))
        raise ValueError("mine")

    with World(Origin([whole(b"hello", endpoint_load_metrics="TEXT a=1")])) as world:
        assert world.caller(flavour, on_response=hook).send().content == b"hello"
        assert told == [("a", "TEXT a=1")]


def test_a_load_report_in_an_answers_headers_reaches_the_engine(flavour: Any) -> None:
    report = "TEXT named_metrics.num_requests_waiting=3"
    with World(Origin([whole(b"hello", endpoint_load_metrics=report)])) as world:
        intake = Intake(world.engine)
        world.caller(flavour, on_response=intake.headers).send()
        assert intake.state()["a"].values == {"waiting": 3.0}


def test_what_the_caller_may_not_send_is_no_failure_of_the_backend(flavour: Any) -> None:
    with World(Origin(HELLO)) as world:
        caller = world.caller(flavour)
        with pytest.raises(caller.http.LocalProtocolError):
            caller.send(headers={"x-bad": "a\nb"})
        assert world.decisions == [("a", "cancelled")]
