"""pytest-benchmark of the hot path: `make bench`. A round is 100 calls; `ns_per_call` is in extra_info."""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.subject import N_REQUESTS, Subject
from tailwise import Ticket

SIZES = (8, 64, 256)


def per_call(benchmark: BenchmarkFixture) -> None:
    benchmark.extra_info["ns_per_call"] = round(benchmark.stats.stats.median / N_REQUESTS * 1e9)


@pytest.mark.parametrize("columns", [False, True], ids=["plain", "columns"])
@pytest.mark.parametrize("k", SIZES)
def test_select(benchmark: BenchmarkFixture, k: int, columns: bool) -> None:
    subject = Subject(k, columns)
    tickets: list[Ticket] = []

    def settle() -> None:
        for ticket in tickets:
            ticket.cancel()

    def select() -> None:
        tickets[:] = subject.select()

    benchmark.pedantic(select, setup=lambda: settle() or tickets.clear(), rounds=200, warmup_rounds=5)
    per_call(benchmark)
    assert all(ticket.admitted for ticket in tickets)


@pytest.mark.parametrize("k", SIZES)
def test_select_from_an_array(benchmark: BenchmarkFixture, k: int) -> None:
    subject = Subject(k)
    subject.tuples = list(subject.requests)
    tickets: list[Ticket] = []

    def settle() -> None:
        for ticket in tickets:
            ticket.cancel()

    def select() -> None:
        tickets[:] = subject.select()

    benchmark.pedantic(select, setup=lambda: settle() or tickets.clear(), rounds=200, warmup_rounds=5)
    per_call(benchmark)
    assert len(tickets) == N_REQUESTS


@pytest.mark.parametrize("k", SIZES)
def test_complete(benchmark: BenchmarkFixture, k: int) -> None:
    """Warm profiles: amortised over one rebuild in about 64."""
    subject = Subject(k)

    def complete(tickets: list[Ticket]) -> None:
        for ticket in tickets:
            ticket.complete(0.005)

    benchmark.pedantic(complete, setup=lambda: ((subject.select(),), {}), rounds=200, warmup_rounds=5)
    per_call(benchmark)
    assert subject.engine.in_flight == 0


@pytest.mark.parametrize("k", SIZES)
def test_select_and_complete(benchmark: BenchmarkFixture, k: int) -> None:
    subject = Subject(k)

    def pairs() -> None:
        for x in subject.tuples:
            subject.route.select(x).complete(0.005)

    benchmark.pedantic(pairs, rounds=200, warmup_rounds=5)
    per_call(benchmark)
    assert subject.engine.in_flight == 0
