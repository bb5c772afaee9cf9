"""A refused job is answered with a status, a reason that a program can read, and what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

import tailwise as tw
from tailwise.adapters.journal import Entry, Journal
from tailwise.adapters.refusal import EntryRefused, Refusal, answer_error, refuse
from tailwise.adapters.slo import read
from tailwise.errors import CapacityError, JobExpired, JobRejected, JobTimedOut, QueueFull


def refused(
    qos: tw.QoS, *, resource: tw.Resource | None = None, model: tw.Model | None = None, drain: bool = False
) -> Entry:
    """The entry that a class gets from one resource that takes 100 ms and has five jobs waiting."""
    clock = tw.ManualClock()
    declared = resource or tw.Resource("cpu-0")
    engine = tw.Engine(
        [declared],
        [model or tw.Model("net")],
        [qos, tw.QoS("any", 100.0, contract="best_effort", priority=7)],
        clock=clock,
        seed=1,
    )
    journal = Journal(engine)
    if model is None:
        other = engine.route("net", "any")
        for _ in range(30):
            ticket = other.select(())
            clock.advance(0.1)
            ticket.complete()
        held.extend(other.select(()) for _ in range(5))
    if drain:
        engine.drain(declared.name)
    return journal.select(engine.route("net", qos.name), (), request_id="r-7")


held: list[Any] = []


@pytest.fixture(autouse=True)
def _let_go() -> Any:
    yield
    while held:
        held.pop().cancel()


def told(refusal: Refusal) -> tuple[dict[str, str], dict[str, Any]]:
    headers = dict(refusal.headers)
    assert len(headers) == len(refusal.headers)
    assert headers["content-length"] == str(len(refusal.body))
    return headers, json.loads(refusal.body)["error"]


REFUSED: dict[str, tuple[Callable[[], Entry], int, str]] = {
    "late": (lambda: refused(tw.QoS("q", 0.3, explore=False)), 429, "deadline_s"),
    "guarantee": (lambda: refused(tw.QoS("q", 0.3, contract="guaranteed", explore=False)), 429, "on_time"),
    "throughput": (lambda: refused(tw.QoS("q", 9.0, min_throughput=1e6)), 429, "min_throughput"),
    "no_resource": (lambda: refused(tw.QoS("q", 9.0), drain=True), 503, "no_resource"),
    "memory": (
        lambda: refused(
            tw.QoS("q", 9.0),
            resource=tw.Resource("small", memory_bytes=1),
            model=tw.Model("net", memory_bytes=2),
        ),
        503,
        "memory_bytes",
    ),
    "affinity": (lambda: refused(tw.QoS("q", 9.0), model=tw.Model("net", requires={"fp8"})), 503, "requires"),
    "accuracy": (
        lambda: refused(tw.QoS("q", 9.0, min_accuracy=0.9), model=tw.Model("net", accuracy=0.5)),
        503,
        "min_accuracy",
    ),
    "cost": (
        lambda: refused(tw.QoS("q", 9.0, max_cost=1e-9), resource=tw.Resource("dear", cost_per_s=9.0)),
        503,
        "max_cost",
    ),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_every_reason_of_admission_has_its_status_its_bound_and_what_to_do(reason: str) -> None:
    make, status, bound = REFUSED[reason]
    entry = make()
    assert entry.reason == reason
    refusal = refuse(entry)
    headers, error = told(refusal)
    assert refusal.status == status
    assert (
        headers["x-tailwise-reason"] == headers["x-llm-d-request-dropped-reason"] == error["code"] == reason
    )
    assert error["type"] == ("rate_limit_error" if status == 429 else "server_error")
    assert error["tailwise"]["bound"]["name"] == bound
    assert error["tailwise"]["request_id"] == "r-7"
    assert reason in error["message"]
    assert ": " in error["message"]
    assert (headers.get("x-should-retry") == "false") == (status == 503)


def test_a_late_job_is_told_when_and_how_near_it_was() -> None:
    entry = refused(tw.QoS("q", 0.3, explore=False))
    assert entry.decision.retry_after_s is not None
    headers, error = told(refuse(entry))
    assert headers["retry-after"] == "1"  # whole seconds, rounded up
    assert 1 <= int(headers["retry-after-ms"]) <= 500
    assert error["tailwise"]["nearest"] == "cpu-0"
    assert error["tailwise"]["p_on_time"] == pytest.approx(entry.decision.p_on_time)
    assert error["tailwise"]["retry_after_s"] == pytest.approx(entry.decision.retry_after_s)
    assert "0.3" in error["message"]
    assert "in 1 s" in error["message"]


def test_the_exception_of_a_refused_entry_says_and_answers_the_same() -> None:
    entry = refused(tw.QoS("q", 0.3, explore=False))
    error = EntryRefused(entry)
    assert (error.reason, error.retry_after_s) == ("late", entry.decision.retry_after_s)
    assert refuse(error) == refuse(entry)
    assert str(error) == told(refuse(entry))[1]["message"]


@pytest.mark.parametrize(
    ("error", "status", "reason", "retry_after"),
    [
        (JobRejected("refused", "late", 2.25), 429, "late", "3"),
        (JobRejected("refused", "memory"), 503, "memory", None),
        (JobRejected("refused", "of_another_version"), 503, "of_another_version", None),
        (QueueFull("200 are queued"), 429, "queue_full", None),
        (JobExpired("waited 2 s"), 429, "expired", None),
        (JobTimedOut("took 2 s"), 504, "timed_out", None),
    ],
)
def test_errors_of_an_executor_are_answered_alike(
    error: Any, status: int, reason: str, retry_after: str | None
) -> None:
    headers, body = told(refuse(error))
    assert refuse(error).status == status
    assert (body["code"], headers.get("retry-after")) == (reason, retry_after)
    assert str(error) in body["message"]


def test_where_no_ticket_is_free_the_answer_says_when_to_come_again_and_nothing_of_the_engine() -> None:
    headers, body = told(refuse(CapacityError("4096 tickets are open: build it with more")))
    assert refuse(CapacityError("full")).status == 503
    assert (body["code"], headers["retry-after"], headers["retry-after-ms"]) == ("too_many_open", "1", "1000")
    assert "4096" not in body["message"]


def test_a_header_that_cannot_be_heeded_is_a_bad_request_with_its_name() -> None:
    with pytest.raises(tw.InputError) as raised:
        read({"x-tailwise-deadline-ms": "soon"}, [tw.QoS("q", 1.0)], default="q")
    refusal = refuse(raised.value)
    headers, body = told(refusal)
    assert refusal.status == 400
    assert (body["type"], body["param"], body["code"]) == (
        "invalid_request_error",
        "x-tailwise-deadline-ms",
        "bad_header",
    )
    assert "soon" in body["message"]
    assert "x-llm-d-request-dropped-reason" not in headers


def test_the_body_is_json_whatever_was_said() -> None:
    with pytest.raises(ValueError, match="JSON"):
        answer_error(502, "upstream", "x", p=float("nan"))
    _, body = told(answer_error(502, "upstream", 'a "quoted"\nline', tried=["a", "b"]))
    assert (body["message"], body["type"], body["tailwise"]["tried"]) == (
        'a "quoted"\nline',
        "server_error",
        ["a", "b"],
    )


def test_a_reason_that_is_no_bound_is_said_once() -> None:
    _, error = told(refuse(refused(tw.QoS("q", 9.0), drain=True)))
    assert error["message"].startswith("class 'q' refused the job (no_resource): ")
