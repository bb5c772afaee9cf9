"""Copies of jobs that outlive their forecast: the first answer is the job's, and the other one is let go."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import gc
import importlib
from typing import Any

import httpx
import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tailwise as tw
from tailwise.adapters.exchange import Ask
from tailwise.adapters.exchange.backends import Backends
from tailwise.adapters.exchange.exchange import Exchange
from tailwise.adapters.exchange.race import may_copy
from tailwise.adapters.journal import Journal
from tests.adapters.transport.origin import Origin, Step, whole
from tests.adapters.transport.test_scripted import ANSWERS, Answer
from tests.adapters.transport.world import Ear

ASK = Ask("net", "urgent")
HELD = [Step.HOLD, whole(b"from a")]


class Race:
    """Two warm backends on a clock of the test; a job is held by `a`, and `b` is free."""

    def __init__(self, n_warm: int = 60) -> None:
        self.clock = tw.ManualClock(100.0)
        self.engine = tw.Engine(
            [tw.Resource("a"), tw.Resource("b")],
            [tw.Model("net")],
            [tw.QoS("urgent", 60.0), tw.QoS("patient", 60.0, priority=1)],
            clock=self.clock,
            seed=1,
        )
        self.journal = Journal(self.engine)
        self.ear = Ear()
        self.journal.listen(self.ear)
        route = self.engine.route("net", "urgent")
        for i in range(n_warm):  # a second run is worth it only where jobs are known to be stuck now and then
            entry = self.journal.select(route, (), mask=1 << i % 2)
            self.clock.advance(9.0 if i in (28, 29, 30, 31) else 0.01)
            entry.complete()

    @property
    def ends(self) -> list[tuple[str | None, str | None]]:
        return [(d.resource, d.end) for d in self.journal.decisions if d.number > 60]

    async def run(
        self, library: str, a: Origin, b: Origin, during: Any, after: Any = lambda: None, **options: Any
    ) -> Any:
        """Sends one job, which `a` gets, and while it waits there `b` comes back, and it is an outlier.

        during: called then; after: before the client is closed."""
        http, adapter = (importlib.import_module(name) for name in (library, f"tailwise.adapters.{library}"))
        inner = http.AsyncHTTPTransport(verify=False)
        transport = adapter.AsyncTransport(
            self.journal, {"a": a.url, "b": b.url}, ASK, inner=inner, **options
        )
        async with http.AsyncClient(transport=transport) as client:
            self.engine.drain("b")
            task = asyncio.create_task(client.post("http://any/x", content=b"ask"))
            await asyncio.to_thread(a.wait_until_held)
            self.engine.undrain("b")
            self.clock.advance(8.0)
            await asyncio.to_thread(during, task)
            try:
                return await task
            finally:
                assert self.engine.in_flight == 0
                await asyncio.to_thread(after)


@pytest.fixture(params=["httpx", "httpx2"])
def library(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_the_copy_answers_first_and_the_stuck_one_is_let_go(library: str) -> None:
    race = Race()
    with Origin(HELD) as a, Origin([whole(b"from b")]) as b:
        response = asyncio.run(race.run(library, a, b, lambda task: a.wait_until_left()))
        assert response.content == b"from b"
        assert b.received[0].body == b"ask"
        assert response.extensions["tailwise"].resource == "b"
    assert race.ends == [("a", "cancelled"), ("b", "completed")]
    assert race.journal.classes["urgent"].copies == 1
    assert race.journal.classes["urgent"].open == 0


def test_the_copied_one_may_still_be_first(library: str) -> None:
    race = Race()
    with Origin(HELD) as a, Origin([Step.HOLD]) as b:

        def during(task: Any) -> None:
            b.wait_until_held()
            a.let_go()
            b.wait_until_left()

        assert asyncio.run(race.run(library, a, b, during)).content == b"from a"
    assert race.ends == [("a", "completed"), ("b", "cancelled")]


@pytest.mark.parametrize("failure", [[Step.HOLD, Step.CLOSE], [Step.HOLD, whole(b"oh", 500)]])
def test_one_of_two_that_fails_leaves_the_job_to_the_other(library: str, failure: Any) -> None:
    race = Race()
    with Origin(failure) as a, Origin([Step.HOLD, whole(b"from b")]) as b:

        def during(task: Any) -> None:
            b.wait_until_held()
            a.let_go()
            race.ear.wait_until_ended("failed")
            b.let_go()

        assert asyncio.run(race.run(library, a, b, during)).content == b"from b"
    assert race.ends == [("a", "failed"), ("b", "completed")]
    assert race.journal.classes["urgent"].ended["failed"] == 0


@pytest.mark.parametrize("attempts", [2, 3])
def test_when_both_have_failed_the_caller_hears_of_the_last_and_neither_is_tried_again(
    library: str, attempts: int
) -> None:
    race = Race()
    with Origin([Step.HOLD, whole(b"oh", 500)]) as a, Origin([Step.HOLD, whole(b"no", 503)]) as b:

        def during(task: Any) -> None:
            b.wait_until_held()
            a.let_go()
            race.ear.wait_until_ended("failed")
            b.let_go()

        assert asyncio.run(race.run(library, a, b, during, attempts=attempts)).content == b"no"
    tried = [d.resource for d in race.journal.decisions if d.number > 60 and d.reason is None]
    assert tried == ["a", "b"]
    assert [d.reason for d in race.journal.refusals] == ["no_resource"] * (attempts - 2)
    assert race.journal.classes["urgent"].ended["failed"] == 1


def test_a_caller_who_leaves_lets_go_of_both(library: str) -> None:
    race = Race()
    with Origin(HELD) as a, Origin([Step.HOLD]) as b:

        def during(task: Any) -> None:
            b.wait_until_held()
            task.get_loop().call_soon_threadsafe(task.cancel)

        def after() -> None:
            a.wait_until_left()
            b.wait_until_left()

        with pytest.raises(asyncio.CancelledError):
            asyncio.run(race.run(library, a, b, during, after))
    assert race.ends == [("a", "cancelled"), ("b", "cancelled")]


def test_only_an_urgent_job_that_may_be_repeated_is_copied() -> None:
    race = Race()

    def exchange(ask: Ask, replay: bool = True) -> float | None:
        route = race.engine.route(ask.model, ask.qos)
        entry = race.journal.select(route, ())
        backends = Backends(race.engine, {"a": "http://a"})
        at_s = Exchange(ask, route, entry, backends, replay=replay, attempts=2).hedge_at_s
        entry.cancel()
        return at_s

    assert (exchange(ASK) or 0.0) > 0.01
    assert exchange(dataclasses.replace(ASK, qos="patient")) is None
    assert exchange(dataclasses.replace(ASK, repeatable=False)) is None
    assert exchange(ASK, replay=False) is None


def test_a_copy_that_cannot_be_made_harms_no_job(caplog: pytest.LogCaptureFixture) -> None:
    race = Race()
    route = race.engine.route(ASK.model, ASK.qos)
    entry = race.journal.select(route, ())
    ask = dataclasses.replace(ASK, Z=lambda route: 1 / 0)
    exchange = Exchange(ask, route, entry, Backends(race.engine, {"a": "http://a"}), replay=True, attempts=2)
    assert exchange.copy() is None
    assert not entry.settled
    assert caplog.records[0].exc_info is not None
    entry.cancel()


def test_one_decision_in_fifty_may_be_copied() -> None:
    assert not may_copy(Race(49).journal)
    assert may_copy(Race(50).journal)


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
@settings(max_examples=12)
@given(
    answers=st.tuples(*[ANSWERS.filter(lambda answer: Step.ENDLESS not in answer.script)] * 2),
    order=st.permutations(["a", "b", "leave"]),
    n=st.integers(1, 3),
)
def test_however_two_copies_end_both_are_settled_once(
    library: str, answers: tuple[Answer, Answer], order: list[str], n: int
) -> None:
    race = Race()
    with Origin([Step.HOLD, *answers[0].script]) as a, Origin([Step.HOLD, *answers[1].script]) as b:

        def during(task: Any) -> None:
            b.wait_until_held()
            leave = functools.partial(task.get_loop().call_soon_threadsafe, task.cancel)
            for step in order[:n] if "leave" in order[:n] else order:
                {"a": a.let_go, "b": b.let_go, "leave": leave}[step]()

        with contextlib.suppress(asyncio.CancelledError, httpx.TransportError, httpx2.TransportError):
            asyncio.run(race.run(library, a, b, during))
    gc.collect()
    assert race.engine.in_flight == 0
    assert {len(ends) for ends in race.ear.ends.values()} == {1}
    assert race.journal.classes["urgent"].open == 0
