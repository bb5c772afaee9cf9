"""A client over several backends: where a request goes, what is passed on, and what its job is told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tailwise.adapters.exchange import Ask
from tailwise.adapters.load import Intake
from tests.adapters.transport.origin import Origin, Step, events, whole
from tests.adapters.transport.world import World

HELLO = [whole(b"hello", server="a", x_twice="1")]
DOWN = [Step.CLOSE]


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


def test_a_backend_that_is_removed_once_it_was_decided_on_is_passed_over(flavour: Any) -> None:
    with World(Origin(HELLO), Origin(HELLO)) as world:
        caller: Any = None
        # asked for between the candidates and the decision
        caller = world.caller(
            flavour, Ask("net", "plain", Z=lambda route: caller.transport.backends.remove("a"))
        )
        assert caller.send().content == b"hello"
        assert world.decisions == [("a", "failed"), ("b", "completed")]
        assert world.origins["a"].received == []


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
