"""What a load report costs: `python -m bench.load`.

A page as vLLM's, by its documentation: 14 histograms, 10 counters, 6 gauges an engine and Python's own; one and
eight engines. "read": `read_metrics`, which parses the samples of the fields that a model declares (here running,
waiting and kv); "told": that, and an engine of 64 resources told so; "whole": prometheus_client on the whole page,
what an event loop would wait for. All in turn, microseconds.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, GCCollector, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

import tailwise as tw
from bench.table import show
from tailwise.adapters.load import Intake, Report, read_metrics

#: Histograms of tokens have 1-2-5 buckets up to the model's length, those of seconds 20 or so.
BUCKETS = [m * 10.0**e for e in range(-3, 4) for m in (1, 2.5, 5)]
HISTOGRAMS = [
    *(f"{what}_seconds" for what in ("time_to_first_token", "inter_token_latency", "e2e_request_latency")),
    *(f"request_{what}_seconds" for what in ("time_per_output_token", "queue_time", "inference_time")),
    *(f"request_{what}" for what in ("prefill_time_seconds", "decode_time_seconds", "params_max_tokens")),
    *(f"request_{what}" for what in ("prompt_tokens", "generation_tokens", "max_num_generation_tokens")),
    *("request_params_n", "iteration_tokens"),
]
COUNTERS = [f"c{i}" for i in range(8)] + ["prefix_cache_queries", "prefix_cache_hits"]
GAUGES = ["num_requests_running", "num_requests_waiting", "kv_cache_usage_perc", "engine_sleep_state"]


def page(engines: int) -> bytes:
    registry = CollectorRegistry()
    GCCollector(registry)
    labels = ("engine", "model_name")
    model = "meta-llama/Llama-3.3-70B-Instruct"
    made: list[Histogram | Counter | Gauge] = [
        *(
            Histogram(f"vllm:{name}", "It is told.", labels, buckets=BUCKETS, registry=registry)
            for name in HISTOGRAMS
        ),
        *(Counter(f"vllm:{name}", "It is told.", labels, registry=registry) for name in COUNTERS),
        *(Gauge(f"vllm:{name}", "It is told.", labels, registry=registry) for name in GAUGES),
    ]
    reasons = Gauge(
        "vllm:num_requests_waiting_by_reason", "It is told.", (*labels, "reason"), registry=registry
    )
    for engine in map(str, range(engines)):
        for metric in made:
            metric.labels(engine, model)
        for reason in ("capacity", "deferred"):
            reasons.labels(engine, model, reason)
    return generate_latest(registry)


def main() -> None:
    column = tw.Column("kv", scale=0.2, reported=True)
    resources = [tw.Resource(f"r{i}") for i in range(64)]
    intake = Intake(tw.Engine(resources, [tw.Model("m", columns=(column,))], [tw.QoS("q", 5.0)]))
    wanted = intake.wanted("r0")
    rows = []
    for engines in (1, 8):
        raw = page(engines)

        def read(raw: bytes = raw) -> Report:
            return read_metrics(raw, "vllm", wanted)

        def told(raw: bytes = raw) -> None:
            intake.page("r0", read_metrics(raw, "vllm", intake.wanted("r0")), intake.now_s())

        def whole(raw: bytes = raw) -> None:
            list(text_string_to_metric_families(raw.decode()))

        for name, times in timed_us({"read": read, "told": told, "whole": whole}).items():
            rows.append(
                (f"{engines} engine(s), {len(raw) / 1e3:.0f} kB: {name}", *(f"{t:.0f}" for t in times))
            )
    show("what a load report costs, us", ("", "p50", "p90"), rows)


def timed_us(calls: Mapping[str, Callable[[], object]], rounds: int = 60) -> dict[str, tuple[float, float]]:
    """Median and 90th percentile of calls in turn."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append(1e6 * (time.perf_counter() - start))
    return {name: (statistics.median(t), sorted(t)[int(0.9 * len(t))]) for name, t in times.items()}


if __name__ == "__main__":
    main()
