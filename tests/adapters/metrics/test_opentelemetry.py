"""Each decision is an event of the span that it was made in; metrics have the names of the conventions."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tailwise.adapters.opentelemetry import instrument
from tests.adapters.metrics.served import Served


class Watched(Served):
    """With the SDK's own exporters behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.reader = InMemoryMetricReader()
        self.spans = InMemorySpanExporter()
        tracers = TracerProvider()
        tracers.add_span_processor(SimpleSpanProcessor(self.spans))
        self.tracer = tracers.get_tracer("test")
        instrument(
            self.journal,
            meter_provider=MeterProvider([self.reader]),
            headroom=lambda qos: 0.5 if qos == "chat" else None,
        )

    def metrics(self) -> dict[str, list[Any]]:
        data = self.reader.get_metrics_data()
        assert data is not None
        [scope] = data.resource_metrics[0].scope_metrics
        return {metric.name: list(metric.data.data_points) for metric in scope.metrics}


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_a_decision_and_its_end_are_events_of_the_span_that_it_was_made_in(watched: Watched) -> None:
    with watched.tracer.start_as_current_span("request") as request:
        entry = watched.journal.select(watched.chat, (), request_id="r7")
        with watched.tracer.start_as_current_span("backend"):
            watched.clock.advance(0.2)
            entry.first()
            watched.clock.advance(0.5)
            entry.complete(tokens=11)
    assert isinstance(request, ReadableSpan)
    decision, end = request.events
    assert (decision.name, end.name) == ("tailwise.decision", "tailwise.end")
    assert decision.attributes is not None
    assert decision.attributes["gen_ai.request.model"] == "llm"
    assert decision.attributes["tailwise.request_id"] == "r7"
    assert decision.attributes["tailwise.resource"] == entry.resource
    assert "tailwise.reason" not in decision.attributes
    assert end.attributes is not None
    assert end.attributes["tailwise.on_time"] is True
    assert end.attributes["gen_ai.usage.output_tokens"] == 11
    assert end.attributes["tailwise.tpot_s"] == pytest.approx(0.05)


def test_times_of_answers_are_recorded_by_their_genai_names(watched: Watched) -> None:
    watched.answers(3)
    seen = watched.metrics()
    for name, total in (
        ("gen_ai.server.request.duration", 3 * 0.7),
        ("gen_ai.server.time_to_first_token", 3 * 0.2),
        ("gen_ai.server.time_per_output_token", 3 * 0.05),
    ):
        points = seen[name]
        assert sum(point.count for point in points) == 3
        assert sum(point.sum for point in points) == pytest.approx(total)
        assert {point.attributes["gen_ai.request.model"] for point in points} == {"llm"}
        assert {point.attributes["gen_ai.operation.name"] for point in points} == {"chat"}


def test_ends_refusals_running_jobs_and_headroom_are_told(watched: Watched) -> None:
    watched.jobs(2)
    watched.jobs(1, end="fail")
    watched.refuse(4)
    held = watched.journal.select(watched.plain, ())
    seen = watched.metrics()
    ended = {
        (p.attributes["tailwise.end"], p.attributes["tailwise.on_time"]): p.value
        for p in seen["tailwise.jobs"]
    }
    assert ended == {("completed", True): 2, ("failed", False): 1}
    [refused] = seen["tailwise.refusals"]
    assert (refused.attributes["tailwise.reason"], refused.value) == ("no_resource", 4)
    running = {p.attributes["tailwise.resource"]: p.value for p in seen["tailwise.running"]}
    assert running[held.resource] == 1
    assert sum(running.values()) == 1
    [headroom] = seen["tailwise.headroom"]
    assert (headroom.attributes["tailwise.qos"], headroom.value) == ("chat", 0.5)
    held.cancel()


def test_without_a_span_nothing_is_kept(watched: Watched) -> None:
    watched.answers(2)
    assert watched.spans.get_finished_spans() == ()
    assert sum(p.value for p in watched.metrics()["tailwise.jobs"]) == 2
