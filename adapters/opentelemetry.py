"""Decisions as events of the caller's span, and metrics by GenAI names. Extra: tailwise[opentelemetry]."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from tailwise.adapters.decision import Decision
from tailwise.adapters.journal import Journal
from tailwise.errors import MissingExtra

try:
    from opentelemetry import metrics, trace
    from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation
except ImportError as error:
    raise MissingExtra("this needs opentelemetry-api: pip install 'tailwise[opentelemetry]'") from error

__all__ = ["instrument"]

#: What the GenAI conventions recommend for their histograms of seconds.
_DURATION_S = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_TTFT_S = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_TPOT_S = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)


def instrument(
    journal: Journal,
    *,
    operation: str = "chat",
    meter_provider: MeterProvider | None = None,
    headroom: Callable[[str], float | None] | None = None,
) -> None:
    """From now on every decision of `journal` is told to OpenTelemetry.

    Each is an event "tailwise.decision" of the span that is current where it is made (the server's, say), and its end
    an event "tailwise.end" of the same span: attributes tailwise.*, gen_ai.request.model, gen_ai.usage.output_tokens.
    Metrics: gen_ai.server.request.duration, .time_to_first_token, .time_per_output_token of completed jobs, with
    gen_ai.operation.name=`operation`, gen_ai.request.model, tailwise.qos and tailwise.resource; counters
    tailwise.jobs (by how they ended and whether on time) and tailwise.refusals; gauges tailwise.running and
    tailwise.headroom.
    meter_provider: None = the global one. headroom: as `TailwiseCollector` takes it.
    """
    meter = metrics.get_meter("tailwise", meter_provider=meter_provider)
    journal.listen(_Ear(meter, operation))

    def running(_: CallbackOptions) -> Iterable[Observation]:
        engine = journal.engine
        return [Observation(engine.load(r.name)[0], {"tailwise.resource": r.name}) for r in engine.resources]

    meter.create_observable_gauge("tailwise.running", [running], "{job}", "Jobs in service, by resource.")
    share_of = journal.headroom if headroom is None else headroom

    def shares(_: CallbackOptions) -> Iterable[Observation]:
        seen = [(q.name, share_of(q.name)) for q in journal.engine.qos]
        return [Observation(share, {"tailwise.qos": qos}) for qos, share in seen if share is not None]

    text = "How much more load the class could take, as a share."
    meter.create_observable_gauge("tailwise.headroom", [shares], "1", text)


class _Ear:
    """Listens to a journal. A span is kept while its decision is open: ends come from other tasks and threads."""

    def __init__(self, meter: metrics.Meter, operation: str) -> None:
        self._operation = operation
        self._spans: dict[int, trace.Span] = {}
        self._seconds = [
            meter.create_histogram(name, "s", text, explicit_bucket_boundaries_advisory=bounds)
            for name, text, bounds in (
                ("gen_ai.server.request.duration", "Arrival to end.", _DURATION_S),
                ("gen_ai.server.time_to_first_token", "Arrival to the first token.", _TTFT_S),
                ("gen_ai.server.time_per_output_token", "Seconds a token after the first.", _TPOT_S),
            )
        ]
        self._jobs = meter.create_counter("tailwise.jobs", "{job}", "Tickets, by how they ended.")
        self._refusals = meter.create_counter("tailwise.refusals", "{job}", "Jobs refused, by reason.")

    def decided(self, decision: Decision) -> None:
        span = trace.get_current_span()
        if span.is_recording():
            span.add_event("tailwise.decision", _told(decision))
            if decision.reason is None:
                self._spans[decision.number] = span
        if decision.reason is not None:
            what = {"tailwise.qos": decision.qos, "tailwise.reason": decision.reason}
            self._refusals.add(1, what)

    def ended(self, decision: Decision) -> None:
        end = decision.end or ""
        span = self._spans.pop(decision.number, None)
        if span is not None and span.is_recording():  # an answer may outlive the span of its request
            span.add_event("tailwise.end", _known(_end(decision)))
        self._jobs.add(
            1,
            _known({"tailwise.qos": decision.qos, "tailwise.end": end, "tailwise.on_time": decision.on_time}),
        )
        if end != "completed":
            return
        what = {
            "gen_ai.operation.name": self._operation,
            "gen_ai.request.model": decision.model,
            "tailwise.qos": decision.qos,
            "tailwise.resource": decision.resource or "",
        }
        times = (decision.completion_s, decision.ttft_s, decision.tpot_s)
        for histogram, seconds in zip(self._seconds, times, strict=True):
            if seconds is not None:
                histogram.record(seconds, what)


def _told(decision: Decision) -> dict[str, Any]:
    told = {"gen_ai.request.model": decision.model, "tailwise.decision": decision.number}
    for name in (
        *("qos", "resource", "preferred", "reason", "retry_after_s", "attempt", "copied", "probe"),
        *("p_on_time", "wait_s", "service_s", "expected_s", "bound_s", "left_s", "request_id"),
    ):
        told[f"tailwise.{name}"] = getattr(decision, name)
    return _known(told)


def _end(decision: Decision) -> dict[str, Any]:
    told: dict[str, Any] = {f"tailwise.{n}": getattr(decision, n) for n in ("end", "on_time", "completion_s")}
    told |= {"tailwise.ttft_s": decision.ttft_s, "tailwise.tpot_s": decision.tpot_s}
    return {**told, "tailwise.decision": decision.number, "gen_ai.usage.output_tokens": decision.tokens}


def _known(attributes: dict[str, Any]) -> dict[str, Any]:
    """Without what is unknown: an attribute cannot be None."""
    return {name: value for name, value in attributes.items() if value is not None}
