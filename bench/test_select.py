"""pytest-benchmark of the hot path: `make bench`. A round is 100 calls; `ns_per_call` is in extra_info."""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.subject import N_REQUESTS, Subject
from tailwise import Ticket

SIZES = (8, 64, 256)


def per_call(benchmark: BenchmarkFixture) -> None:
    benchmark.extra_info["ns_per_call"] = round(benchmark.stats.stats.median / N_REQUESTS * 1e9)


def measure_select(benchmark: BenchmarkFixture, subject: Subject) -> None:
    """Times passes of select; the tickets of a pass are cancelled before the next, untimed."""
    tickets: list[Ticket] = []

    def settle() -> None:
        for ticket in tickets:
            ticket.cancel()
        tickets.clear()

    benchmark.pedantic(lambda: tickets.extend(subject.select()), setup=settle, rounds=200, warmup_rounds=5)
    per_call(benchmark)
    assert len(tickets) == N_REQUESTS
    assert all(ticket.admitted for ticket in tickets)


@pytest.mark.parametrize("columns", [False, True], ids=["plain", "columns"])
@pytest.mark.parametrize("k", SIZES)
def test_select(benchmark: BenchmarkFixture, k: int, columns: bool) -> None:
    measure_select(benchmark, Subject(k, columns))


@pytest.mark.parametrize("k", SIZES)
def test_select_from_an_array(benchmark: BenchmarkFixture, k: int) -> None:
    subject = Subject(k)
    subject.tuples = list(subject.requests)
    measure_select(benchmark, subject)


@pytest.mark.parametrize("k", SIZES)
def test_complete(benchmark: BenchmarkFixture, k: int) -> None:
    """Warm profiles: amortised over one rebuild in about 64."""
    subject = Subject(k)

    def complete(tickets: list[Ticket], seconds: list[float]) -> None:
        for ticket, service_s in zip(tickets, seconds, strict=True):
            ticket.complete(service_s)

    def decided() -> tuple[tuple[list[Ticket], list[float]], dict[str, object]]:
        tickets = subject.select()
        return (tickets, subject.seconds_of(tickets)), {}

    benchmark.pedantic(complete, setup=decided, rounds=200, warmup_rounds=5)
    per_call(benchmark)
    assert subject.engine.in_flight == 0


@pytest.mark.parametrize("k", SIZES)
def test_select_and_complete(benchmark: BenchmarkFixture, k: int) -> None:
    subject = Subject(k)
    tickets = subject.select()
    seconds = subject.seconds_of(tickets)
    for ticket in tickets:
        ticket.cancel()

    def pairs() -> None:
        for x, service_s in zip(subject.tuples, seconds, strict=True):
            subject.route.select(x).complete(service_s)

    benchmark.pedantic(pairs, rounds=200, warmup_rounds=5)
    per_call(benchmark)
    assert subject.engine.in_flight == 0
