"""Headers say a job's class and bounds, or are refused by name; never is a bound that was sent left out."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tailwise as tw
from tailwise.adapters.slo import HeaderError, Slo, deadline_header, read

BOUNDS = (
    "x-tailwise-deadline-ms",
    "x-llm-d-slo-ttft-ms",
    "x-llm-d-slo-tpot-ms",
    "x-slo-ttft-ms",
    "x-slo-tpot-ms",
)
PLAIN = (
    tw.QoS("urgent", 0.05, on_time=0.99, priority=0),
    tw.QoS("normal", 0.5, priority=1),
    tw.QoS("batch", 30.0, on_time=0.5, priority=2),
)
TOKENS = (
    tw.QoS("chat", 20.0, ttft_s=0.4, tpot_s=0.03),
    tw.QoS("document", 60.0, ttft_s=3.0, priority=1),
)
ENGINE = tw.Engine([tw.Resource("a")], [tw.Model("m")], PLAIN)


@pytest.mark.parametrize(
    ("deadline_ms", "name"),
    [("40", "batch"), ("50", "urgent"), ("499.9", "urgent"), ("500", "normal"), ("30000", "batch")],
)
def test_the_least_urgent_class_that_promises_the_deadline_is_taken_else_the_default(
    deadline_ms: str, name: str
) -> None:
    slo = read({"x-tailwise-deadline-ms": deadline_ms}, PLAIN, default="batch")
    assert slo.qos == name
    assert slo.bounds() == {"deadline_s": pytest.approx(float(deadline_ms) / 1e3)}


def test_every_bound_that_was_said_must_be_promised() -> None:
    both = {"x-llm-d-slo-ttft-ms": "3000", "x-llm-d-slo-tpot-ms": "50"}
    assert read({"x-llm-d-slo-ttft-ms": "3000"}, TOKENS).qos == "document"
    assert read(both, TOKENS).qos == "chat"  # a document promises no pace
    slo = read(both, TOKENS)
    assert (slo.ttft_s, slo.tpot_s, slo.deadline_s) == (3.0, 0.05, None)
    assert slo.bounds() == {"deadline_s": 3.0, "tpot_s": 0.05}


def test_a_class_that_is_named_stands_with_the_bounds_of_the_job() -> None:
    slo = read({"X-Tailwise-Class": "batch", "x-tailwise-deadline-ms": " 40\t"}, PLAIN)
    assert slo == Slo("batch", deadline_s=0.04, budget_s=0.04)


def test_without_a_header_it_is_the_default_class_with_its_own_bounds() -> None:
    assert read({}, PLAIN, default="normal") == Slo("normal")
    assert read({}, PLAIN, default="normal").bounds() == {}


def test_without_a_default_a_request_that_names_no_class_is_refused() -> None:
    with pytest.raises(
        HeaderError, match="x-tailwise-class: not there, but one of batch, normal, urgent is expected"
    ):
        read({}, PLAIN)
    with pytest.raises(tw.InputError, match="default='none'"):
        read({}, PLAIN, default="none")


def test_where_the_class_bounds_the_first_token_it_comes_no_later_than_the_deadline() -> None:
    def budget(**ms: str) -> float | None:
        names = {"ttft": "x-slo-ttft-ms", "end": "x-tailwise-deadline-ms"}
        return read({names[k]: v for k, v in ms.items()} | {"x-tailwise-class": "chat"}, TOKENS).budget_s

    assert budget(end="5000") is None  # the class's 400 ms stay
    assert budget(end="300") == pytest.approx(0.3)
    assert budget(end="300", ttft="200") == pytest.approx(0.2)
    assert budget(end="5000", ttft="900") == pytest.approx(0.9)


def test_what_select_takes_is_what_bounds_gives() -> None:
    engine = tw.Engine([tw.Resource("a")], [tw.Model("llm", signals=("ttft", "tpot"))], TOKENS)
    slo = read({"x-llm-d-slo-ttft-ms": "900", "x-tailwise-class": "document"}, engine)
    ticket = engine.route("llm", slo.qos).select((), **slo.bounds())
    assert ticket.left_s == pytest.approx(0.9)
    ticket.cancel()


@pytest.mark.parametrize("header", BOUNDS)
@pytest.mark.parametrize(
    "value",
    [
        "",
        "0",
        "0.0",
        "-1",
        "+5",
        "nan",
        "inf",
        "1e3",
        "1_000",
        "5 0",
        "5ms",
        "5,5",
        "0x10",
        "٣",
        "86400001",
        "9" * 400,
        ".5",
    ],
)
def test_a_bound_that_is_no_time_is_refused_by_its_name(header: str, value: str) -> None:
    with pytest.raises(HeaderError, match="milliseconds > 0, at most a day") as refused:
        read({header: value}, TOKENS, default="chat")
    assert refused.value.header == header
    assert len(str(refused.value)) < 250
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    ("headers", "match"),
    [
        ([("x-slo-ttft-ms", "5"), ("x-slo-ttft-ms", "6")], "x-slo-ttft-ms: 5 and 6, but one value"),
        ([("x-tailwise-class", "chat"), ("X-TAILWISE-CLASS", "document")], "one value"),
        ([("x-llm-d-slo-ttft-ms", "5"), ("x-slo-ttft-ms", "6")], "the same as in x-slo-ttft-ms: 6"),
        ([("x-tailwise-class", "Chat")], "x-tailwise-class: Chat, but one of chat, document"),
        ([("x-tailwise-class", "")], "one of chat, document"),
        ([("x-tailwise-deadline", "5")], "x-tailwise-deadline: 5, but one of the names"),
        ([("x-llm-d-slo-e2e-ms", "5")], "but one of the names"),
        ([("x-tailwise-class", "document"), ("x-slo-tpot-ms", "5")], "such a bound, as 'document' has not"),
        ([("x-session-id", "a\x00b")], "printable"),
        ([("x-request-id", "a" * 257)], "at most 256"),
    ],
)
def test_what_contradicts_itself_or_names_nothing_is_refused(
    headers: list[tuple[str, str]], match: str
) -> None:
    with pytest.raises(HeaderError, match=match):
        read(headers, TOKENS, default="chat")


def test_a_first_token_cannot_be_bounded_where_the_class_bounds_the_end() -> None:
    with pytest.raises(
        HeaderError, match="x-slo-ttft-ms: 5, but a class that has such a bound, as 'normal' has not"
    ):
        read({"x-slo-ttft-ms": "5"}, PLAIN, default="normal")


def test_a_header_sent_twice_alike_and_both_names_of_a_bound_are_one() -> None:
    pairs = [(b"x-slo-ttft-ms", b"500"), (b"X-SLO-TTFT-MS", b"500"), (b"x-llm-d-slo-ttft-ms", b"500.0")]
    assert read(pairs, TOKENS, default="chat").ttft_s == 0.5


def test_ids_are_taken_as_they_are_and_empty_ones_are_none() -> None:
    slo = read({"x-session-id": "s-1", "x-request-id": ""}, PLAIN, default="batch")
    assert (slo.session, slo.request_id) == ("s-1", None)


@given(left_s=st.floats(min_value=-1e9, max_value=1e9) | st.just(math.inf))
def test_what_is_sent_downstream_is_read_there_and_never_longer_than_what_is_left(left_s: float) -> None:
    header = deadline_header(left_s)
    assert (header == {}) == (left_s == math.inf)
    if header:
        there = read(header, PLAIN, default="batch").deadline_s
        assert there is not None
        assert there <= max(left_s, 1e-6) * (1 + 1e-12)


NAMES = st.sampled_from(
    (*BOUNDS, "x-tailwise-class", "x-session-id", "x-request-id", "accept", "x-slo-ttft")
) | st.text(max_size=20)
VALUES = (
    st.floats().map(repr)
    | st.integers(min_value=-10, max_value=10**9).map(str)
    | st.sampled_from(("chat", "document", "urgent", ""))
    | st.text(max_size=50)
)


@settings(max_examples=400)
@given(pairs=st.lists(st.tuples(NAMES, VALUES), max_size=5), raw=st.booleans())
def test_any_headers_are_read_or_refused_and_no_bound_is_lost(
    pairs: list[tuple[str, str]], raw: bool
) -> None:
    headers: Any = [(k.encode(), v.encode()) for k, v in pairs] if raw else pairs
    try:
        slo = read(headers, TOKENS, default="chat")
    except HeaderError as raised:
        refused = str(raised)
        assert refused.isprintable()
        assert len(refused) < 600
        return
    bounds = {"x-tailwise-deadline-ms": slo.deadline_s}
    bounds |= dict.fromkeys(("x-llm-d-slo-ttft-ms", "x-slo-ttft-ms"), slo.ttft_s)
    bounds |= dict.fromkeys(("x-llm-d-slo-tpot-ms", "x-slo-tpot-ms"), slo.tpot_s)
    for name, value in pairs:
        if name.lower() in bounds:
            assert bounds[name.lower()] == pytest.approx(float(value) / 1e3)


@settings(max_examples=100)
@given(ms=st.floats(min_value=1e-4, max_value=86_400_000.0))
def test_every_time_within_a_day_that_python_prints_can_be_selected_with(ms: float) -> None:
    slo = read({"x-tailwise-deadline-ms": repr(ms)}, ENGINE, default="batch")
    ticket = ENGINE.route("m", slo.qos).select((), **slo.bounds())
    assert ticket.left_s == pytest.approx(ms / 1e3)
