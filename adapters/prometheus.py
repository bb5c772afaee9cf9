"""What an engine believes and what its journal counted, for Prometheus. Extra: tailwise[prometheus]."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

from tailwise.adapters.decision import Decision
from tailwise.adapters.journal import Journal
from tailwise.adapters.tally import ClassTally
from tailwise.engine import Engine
from tailwise.errors import InputError, MissingExtra, UnknownName
from tailwise.summary import ProfileSummary

try:
    from prometheus_client import Counter, Histogram
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
except ImportError as error:
    raise MissingExtra(
        "this collector needs prometheus-client: pip install 'tailwise[prometheus]'"
    ) from error

__all__ = ["Headroom", "TailwiseCollector"]

#: What share more load a class could take: see `TailwiseCollector`.
Headroom = Callable[[str], float | None]

#: Steps of 10^(1/4) from a millisecond to 100 s: a quantile read from them is within a factor of 1.8, anywhere that
#: inference takes place.
SECONDS = tuple(float(f"{10 ** (i / 4 - 3):.3g}") for i in range(21))

_Rows = Iterable[tuple[tuple[str, ...], float]]


class TailwiseCollector:
    """Register it: `prometheus_client.REGISTRY.register(TailwiseCollector(journal))`.

    source: a journal, whose decisions are counted; of a bare Engine its beliefs, breakers and certificates alone.
    headroom: says by class how much more load it could take, as a share; None = what the journal works out. Where
    that is not known it is left out, as is all else that is not: absent is unknown, never 0. `metrics/` has a Grafana
    dashboard and alert rules.
    """

    def __init__(self, source: Journal | Engine, *, headroom: Headroom | None = None) -> None:
        if not isinstance(source, Journal | Engine):
            raise InputError(f"TailwiseCollector: source={source!r}: a Journal or an Engine is expected")
        self._journal = source if isinstance(source, Journal) else None
        self._engine = source.engine if isinstance(source, Journal) else source
        self._headroom = headroom
        if headroom is None and isinstance(source, Journal):
            self._headroom = source.headroom
        self._heard = _Heard()
        if self._journal is not None:
            self._journal.listen(self._heard)

    def describe(self) -> list[Metric]:
        """Nothing is promised before the first scrape: what exists depends on what is known."""
        return []

    def collect(self) -> Iterator[Metric]:
        yield from self._of_engine()
        yield from self._of_classes()
        yield from self._of_resources()
        yield from self._of_profiles()
        if self._journal is not None:
            yield from self._of_jobs(self._journal)
            yield from self._heard.collect()

    def _of_engine(self) -> Iterator[Metric]:
        counters = self._engine.counters
        yield _gauge("open_tickets", "Decisions that are not settled yet.", (), [((), counters["n_open"])])
        for name, key, text in (
            ("abandoned_tickets", "n_abandoned", "Tickets that were dropped unsettled."),
            ("clipped_features", "n_clipped", "Encoded features that lay beyond +-16, and were held there."),
            ("untimed_results", "n_untimed", "Completions by a clock that had gone back."),
            ("alarms", "n_alarms", "Changes of a resource that were detected."),
        ):
            yield _counter(name, text, (), [((), counters[key])])
        mode = self._engine.mode()
        modes = [((m,), float(m == mode)) for m in ("active", "shadow", "frozen", "bypass")]
        yield _gauge("mode", "1 for the mode that holds.", ("mode",), modes)
        yield _gauge(
            "rollout_ratio", "Share of the jobs that tailwise decides on.", (), [((), self._engine.rollout)]
        )

    def _of_classes(self) -> Iterator[Metric]:
        promises = [(q, self._engine.certificate(q.name)) for q in self._engine.qos]
        known = [(q, c) for q, c in promises if c.n]
        yield _gauge(
            "target_ratio",
            "on_time of the class.",
            ("qos",),
            [((q.name,), q.on_time) for q in self._engine.qos],
        )
        for name, text, rows in (
            (
                "promised",
                "Jobs of which a promise has been judged.",
                [((q.name,), float(c.n)) for q, c in promises],
            ),
            (
                "untold",
                "Answers of which nobody said what tells.",
                [((q.name,), float(c.untold)) for q, c in promises],
            ),
        ):
            yield _counter(name, text, ("qos",), rows)
        for name, text, of in (
            ("claimed_ratio", "Mean P(on time) that was claimed.", lambda c: c.claimed),
            ("observed_ratio", "Share of those jobs that was on time.", lambda c: c.on_time),
            ("within_bound_ratio", "Share that ended within bound_s.", lambda c: c.observed),
            ("certificate_bound", "Guaranteed limit of |within bound - target|.", lambda c: c.bound),
            ("claims_disagree", "1 when claims drifted beyond chance.", lambda c: float(c.disagree)),
        ):
            yield _gauge(name, text, ("qos",), [((q.name,), of(c)) for q, c in known])
        if self._headroom is not None:
            seen = [((q.name,), self._headroom(q.name)) for q in self._engine.qos]
            rows = [(labels, share) for labels, share in seen if share is not None]
            text = "How much more load the class could take, as a share of the present one."
            yield _gauge("headroom_ratio", text, ("qos",), rows)

    def _of_resources(self) -> Iterator[Metric]:
        engine = self._engine
        seen: list[tuple[str, tuple[float, ...]]] = []
        for name in [resource.name for resource in engine.resources]:
            with suppress(UnknownName):  # another thread has removed it since
                (running, queued), health = engine.load(name), engine.health(name)
                shut = float(health.state != "closed")
                seen.append((name, (running, queued, engine.overdue(name), shut, health.success)))
        for i, (name, text) in enumerate(
            (
                ("running_jobs", "Jobs in service by our own tickets."),
                ("queued_jobs", "Jobs of our own tickets that wait for service."),
                ("overdue_jobs", "Jobs in service for longer than they should be."),
                ("breaker_open", "1 while the resource is ejected."),
                ("success_ratio", "Decayed share of successes."),
            )
        ):
            yield _gauge(name, text, ("resource",), [((n,), numbers[i]) for n, numbers in seen])

    def _of_profiles(self) -> Iterator[Metric]:
        engine = self._engine
        by_lane = engine.by_lane
        seen: list[tuple[str, str, str, ProfileSummary]] = []
        for model in engine.models:
            for resource in (by_lane[lane] for lane in engine.candidates(model.name) if lane < len(by_lane)):
                with suppress(UnknownName):
                    seen += [
                        (
                            resource.name,
                            model.name,
                            signal,
                            engine.profile(resource.name, model.name, signal=signal),
                        )
                        for signal in model.signals
                        if resource is not None
                    ]
        labels = ("resource", "model", "signal")
        known = [((r, m, s), p) for r, m, s, p in seen if p.source != "unknown"]
        text = "Median of the forecast at typical features."
        yield _gauge("forecast_median_seconds", text, labels, [(who, p.median_s) for who, p in known])
        text = "99% quantile of the forecast at typical features."
        yield _gauge("forecast_p99_seconds", text, labels, [(who, p.quantile(0.99)) for who, p in known])
        rows = [((r, m, s), p.n) for r, m, s, p in seen]
        yield _gauge("observations", "Effective number of results behind a profile.", labels, rows)

    def _of_jobs(self, journal: Journal) -> Iterator[Metric]:
        tallies = list(journal.classes.values())
        counts: tuple[tuple[str, str, Callable[[ClassTally], int]], ...] = (
            ("offered_jobs", "Jobs that came.", lambda t: t.offered),
            ("known_jobs", "Jobs of which it is known whether they were on time.", lambda t: t.known),
            ("on_time_jobs", "Jobs that kept every bound of their class.", lambda t: t.on_time),
            ("retries", "Further tries of jobs that had failed.", lambda t: t.retries),
            ("hedges", "Copies of jobs that were stuck.", lambda t: t.copies),
            ("probes", "Jobs sent to find something out, outside the promise.", lambda t: t.probes),
        )
        for name, text, of in counts:
            yield _counter(name, text, ("qos",), [((t.qos,), of(t)) for t in tallies])
        yield _gauge(
            "open_jobs", "Jobs admitted and not ended.", ("qos",), [((t.qos,), t.open) for t in tallies]
        )
        ended = [((t.qos, end), float(n)) for t in tallies for end, n in list(t.ended.items())]
        yield _counter("ended_jobs", "Jobs by how they ended.", ("qos", "end"), ended)
        refused = [((t.qos, reason), float(n)) for t in tallies for reason, n in list(t.refused.items())]
        yield _counter("refused_jobs", "Jobs refused, by reason.", ("qos", "reason"), refused)


class _Heard:
    """What is counted as decisions come. The metrics belong to no registry: the collector hands them out."""

    def __init__(self) -> None:
        labels = ("model", "qos")
        self._decisions = Counter(
            "tailwise_decisions",
            "Jobs sent, copies and retries included.",
            ("resource", "model"),
            registry=None,
        )
        self._completion = Histogram(
            "tailwise_completion_seconds", "Arrival to end.", labels, buckets=SECONDS, registry=None
        )
        self._ttft = Histogram(
            "tailwise_ttft_seconds", "Arrival to the first token.", labels, buckets=SECONDS, registry=None
        )
        self._tpot = Histogram(
            "tailwise_tpot_seconds",
            "Seconds a token after the first.",
            labels,
            buckets=SECONDS,
            registry=None,
        )

    def decided(self, decision: Decision) -> None:
        if decision.reason is None and decision.resource is not None:
            self._decisions.labels(decision.resource, decision.model).inc()

    def ended(self, decision: Decision) -> None:
        if decision.end != "completed":
            return
        for histogram, seconds in (
            (self._completion, decision.completion_s),
            (self._ttft, decision.ttft_s),
            (self._tpot, decision.tpot_s),
        ):
            if seconds is not None:
                histogram.labels(decision.model, decision.qos).observe(seconds)

    def collect(self) -> Iterator[Metric]:
        for metric in (self._decisions, self._completion, self._ttft, self._tpot):
            yield from metric.collect()


def _gauge(name: str, text: str, labels: tuple[str, ...], rows: _Rows) -> Metric:
    return _filled(GaugeMetricFamily(f"tailwise_{name}", text, labels=labels), rows)


def _counter(name: str, text: str, labels: tuple[str, ...], rows: _Rows) -> Metric:
    return _filled(CounterMetricFamily(f"tailwise_{name}", text, labels=labels), rows)


def _filled(family: GaugeMetricFamily | CounterMetricFamily, rows: _Rows) -> Metric:
    for labels, value in rows:
        family.add_metric(labels, float(value))
    return family
