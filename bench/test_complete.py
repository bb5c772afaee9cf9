"""pytest-benchmark of `complete` on cold profiles; warm ones are in test_select.py."""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import tailwise as tw

N_RESULTS = 8  # per resource: until then every completion rebuilds a served copy
TYPICAL = 4.0


def cold_tickets(k: int) -> list[tw.Ticket]:
    """Open tickets of an engine that has learned nothing: N_RESULTS rounds over k resources, d = 8."""
    features = tuple(tw.Feature(f"f{i}", typical=TYPICAL) for i in range(7))
    engine = tw.Engine(
        [tw.Resource(f"r{i}", slots=256) for i in range(k)],
        [tw.Model("m", features=features)],
        [tw.QoS("q", deadline_s=0.02, contract="best_effort")],
        seed=k,
    )
    route = engine.route("m", "q")
    return [
        route.select(tuple(TYPICAL * 2.0 ** ((i + j) % 5 - 2) for j in range(7)), mask=1 << lane)
        for i in range(N_RESULTS)
        for lane in range(k)
    ]


@pytest.mark.parametrize("k", [8, 64, 256])
def test_complete_cold(benchmark: BenchmarkFixture, k: int) -> None:
    """The dearest phase: each completion pools the other resources, and the first k also serve the cold lanes."""
    tickets: list[tw.Ticket] = []

    def renew() -> None:
        tickets[:] = cold_tickets(k)

    def complete() -> None:
        for ticket in tickets:
            ticket.complete(0.005)

    benchmark.pedantic(complete, setup=renew, rounds=20, warmup_rounds=1)
    benchmark.extra_info["ns_per_call"] = round(benchmark.stats.stats.median / (N_RESULTS * k) * 1e9)
    assert all(ticket.settled for ticket in tickets)
