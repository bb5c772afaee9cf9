"""What Prometheus scrapes is what the engine and its journal say; what is unknown is absent."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

import tailwise as tw
from tailwise.adapters.prometheus import TailwiseCollector
from tests.adapters.metrics.served import Served


def scrape(collector: TailwiseCollector) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    registry = CollectorRegistry()
    registry.register(collector)
    text = generate_latest(registry).decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def at(seen: dict[tuple[str, frozenset[tuple[str, str]]], float], name: str, **labels: str) -> float | None:
    return seen.get((f"tailwise_{name}", frozenset(labels.items())))


@pytest.fixture
def served() -> Served:
    return Served()


def test_jobs_are_counted_by_class_end_and_reason(served: Served) -> None:
    collector = TailwiseCollector(served.journal)
    served.jobs(6)
    served.jobs(2, seconds=1.5)
    served.jobs(1, end="fail")
    served.refuse(3)
    seen = scrape(collector)
    assert at(seen, "offered_jobs_total", qos="plain") == 12
    assert at(seen, "known_jobs_total", qos="plain") == 12
    assert at(seen, "on_time_jobs_total", qos="plain") == 6
    assert at(seen, "ended_jobs_total", qos="plain", end="completed") == 8
    assert at(seen, "ended_jobs_total", qos="plain", end="failed") == 1
    assert at(seen, "refused_jobs_total", qos="plain", reason="no_resource") == 3
    assert at(seen, "open_jobs", qos="plain") == 0
    sent = [at(seen, "decisions_total", resource=r, model="net") or 0 for r in ("a", "b")]
    assert sum(sent) == 9
    assert at(seen, "completion_seconds_count", model="net", qos="plain") == 8
    assert at(seen, "completion_seconds_sum", model="net", qos="plain") == pytest.approx(6 * 0.1 + 2 * 1.5)


def test_answers_have_a_first_token_and_a_pace(served: Served) -> None:
    collector = TailwiseCollector(served.journal)
    served.answers(4)
    seen = scrape(collector)
    assert at(seen, "ttft_seconds_sum", model="llm", qos="chat") == pytest.approx(4 * 0.2)
    assert at(seen, "tpot_seconds_sum", model="llm", qos="chat") == pytest.approx(4 * 0.05)
    assert at(seen, "on_time_jobs_total", qos="chat") == 4


def test_beliefs_are_those_of_the_engine_and_unknown_ones_are_absent(served: Served) -> None:
    collector = TailwiseCollector(served.engine)
    assert (
        at(scrape(collector), "forecast_median_seconds", resource="a", model="net", signal="service") is None
    )
    served.jobs(10)
    seen = scrape(collector)
    for resource in ("a", "b"):
        profile = served.engine.profile(resource, "net")
        who = {"resource": resource, "model": "net", "signal": "service"}
        assert at(seen, "forecast_median_seconds", **who) == pytest.approx(profile.median_s)
        assert at(seen, "forecast_p99_seconds", **who) == pytest.approx(profile.quantile(0.99))
        assert at(seen, "observations", **who) == pytest.approx(profile.n)
    assert at(seen, "claimed_ratio", qos="plain") == pytest.approx(served.engine.certificate("plain").claimed)
    assert at(seen, "claimed_ratio", qos="chat") is None
    assert at(seen, "offered_jobs_total", qos="plain") is None  # nobody counts them without a journal


def test_a_failing_resource_and_open_jobs_show(served: Served) -> None:
    collector = TailwiseCollector(served.journal)
    open_entry = served.journal.select(served.plain, ())
    seen = scrape(collector)
    assert at(seen, "running_jobs", resource=open_entry.resource or "") == 1
    assert at(seen, "open_jobs", qos="plain") == 1
    open_entry.cancel()
    served.jobs(20, seconds=0.01, end="fail")
    seen = scrape(collector)
    assert 1.0 in [at(seen, "breaker_open", resource=r) for r in ("a", "b")]


def test_the_mode_and_the_headroom_show(served: Served) -> None:
    collector = TailwiseCollector(served.journal, headroom=lambda qos: 0.25 if qos == "chat" else None)
    served.engine.mode("shadow", rollout=0.5)
    seen = scrape(collector)
    assert (at(seen, "mode", mode="shadow"), at(seen, "mode", mode="active")) == (1.0, 0.0)
    assert at(seen, "rollout_ratio") == 0.5
    assert at(seen, "headroom_ratio", qos="chat") == 0.25
    assert at(seen, "headroom_ratio", qos="plain") is None


def test_what_is_no_source_is_refused() -> None:
    with pytest.raises(tw.InputError, match="Journal or an Engine"):
        TailwiseCollector("engine")  # type: ignore[arg-type]


def test_a_resource_that_is_removed_during_a_scrape_spoils_nothing(served: Served) -> None:
    served.jobs(6)
    seen = []
    for metric in TailwiseCollector(served.journal).collect():
        seen.append(metric.name)
        if metric.name == "tailwise_running_jobs":
            served.engine.remove("b")
    assert "tailwise_overdue_jobs" in seen
    assert "tailwise_open_jobs" in seen
