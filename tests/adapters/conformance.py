"""What every adapter that runs jobs must hold, whatever the framework: a mixin with one hook.

    class TestMine(Conformance):
        @asynccontextmanager
        async def adapter(self, journal: Journal, work: Work) -> AsyncIterator[Call]:
            ...                      # start servers; `await work(left_s)` where a job's work is done
            yield call               # async def call(headers: dict[str, str]) -> Told

Class variables say what an adapter does differently; there are few, so that adapters do the same.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import pytest

import tailwise as tw
from tailwise.adapters.journal import Decision, Journal
from tailwise.adapters.refusal import Refusal

CLASS, DEADLINE = "x-tailwise-class", "x-tailwise-deadline-ms"


class WorkFailed(Exception):
    """What the work of a job raises."""


@dataclass(frozen=True)
class Told:
    """What whoever asked for a job got. ok: its answer. reason: of a refusal, with seconds to wait, where known."""

    ok: bool
    status: int | None = None
    reason: str | None = None
    retry_after_s: float | None = None

    @classmethod
    def of_response(cls, status: int, headers: Mapping[str, str], body: bytes) -> Told:
        reason = headers.get("x-tailwise-reason")
        if reason is not None:  # in the body, too
            error = json.loads(body)["error"]
            assert error["code"] == reason
            assert error["message"]
        wait = headers.get("retry-after")
        return cls(status < 300, status, reason, None if wait is None else float(wait))

    @classmethod
    def of_refusal(cls, refusal: Refusal) -> Told:
        return cls.of_response(refusal.status, dict(refusal.headers), refusal.body)


Call: TypeAlias = Callable[[dict[str, str]], Awaitable[Told]]


class Work:
    """The work of the jobs, in the loop of the test: succeeds, fails, or waits until it is released or cancelled."""

    def __init__(self) -> None:
        self.fails = False
        self.waits = False
        self.n = 0
        self.left_s: list[float | None] = []
        self.started = asyncio.Event()
        self.release = asyncio.Event()

    async def __call__(self, left_s: float | None) -> None:
        """left_s: what is left of the deadline where the work runs, as the adapter handed it on; None or inf: it
        said nothing. Raises WorkFailed."""
        self.n += 1
        self.left_s.append(left_s)
        self.started.set()
        if self.waits:
            await self.release.wait()
        if self.fails:
            raise WorkFailed


class Ends:
    """A listener: waits until as many decisions ended as were admitted."""

    def __init__(self, journal: Journal) -> None:
        self.open = 0
        self.none_open = asyncio.Event()
        self.none_open.set()
        self._loop = asyncio.get_running_loop()
        journal.listen(self)

    def decided(self, decision: Decision) -> None:
        if decision.reason is None:
            self._count(+1)

    def ended(self, decision: Decision) -> None:
        self._count(-1)

    def _count(self, change: int) -> None:
        self._loop.call_soon_threadsafe(self._set, change)

    def _set(self, change: int) -> None:
        self.open += change
        (self.none_open.clear if self.open else self.none_open.set)()


@dataclass
class Scene:
    """One running adapter of a test."""

    journal: Journal
    work: Work
    call: Call
    ends: Ends

    async def abandon(self) -> None:
        """Calls, and gives up once the work has begun."""
        self.work.waits = True
        self.work.started.clear()
        caller = asyncio.ensure_future(self.call({}))
        started = asyncio.ensure_future(self.work.started.wait())
        await asyncio.wait((caller, started), return_when=asyncio.FIRST_COMPLETED)
        assert started.done(), caller
        caller.cancel()
        await asyncio.wait((caller,))

    @property
    def tally(self) -> Any:
        return self.journal.classes["normal"]


class Conformance:
    """Every test leaves no ticket open."""

    #: False where whoever called cannot give up while the work runs (a blocking client).
    gives_up: ClassVar[bool] = True
    model: ClassVar[str] = "net"

    def adapter(self, journal: Journal, work: Work) -> AbstractAsyncContextManager[Call]:
        """Serves `model` of the engine ("net": no features) with class "normal" as the default one."""
        raise NotImplementedError

    def engine(self) -> tw.Engine:
        """Resources "a" and "b", class "normal" and the stricter "urgent"."""
        return tw.Engine(
            [tw.Resource("a", slots=64), tw.Resource("b", slots=64)],
            [tw.Model(self.model)],
            [tw.QoS("urgent", 2.0, priority=0), tw.QoS("normal", 20.0, priority=1, explore=False)],
            seed=3,
        )

    def run(self, test: Callable[[Scene], Coroutine[Any, Any, None]]) -> None:
        """Plays a test against the adapter, and looks whether everything has ended."""

        async def play() -> None:
            journal, work = Journal(self.engine()), Work()
            ends = Ends(journal)
            async with self.adapter(journal, work) as call:
                await test(Scene(journal, work, call, ends))
                work.release.set()
                async with asyncio.timeout(30.0):
                    await ends.none_open.wait()
            assert journal.engine.in_flight == 0
            assert sum(tally.open for tally in journal.classes.values()) == 0

        asyncio.run(play())

    def test_a_job_completes_once(self) -> None:
        async def test(scene: Scene) -> None:
            assert (await scene.call({})).ok
            await scene.ends.none_open.wait()
            assert scene.work.n == 1
            assert dict(scene.tally.ended) == {"completed": 1}
            assert (scene.tally.offered, scene.tally.known, scene.tally.on_time) == (1, 1, 1)
            [decision] = scene.journal.decisions
            assert decision.resource in ("a", "b")
            assert scene.journal.engine.profile(decision.resource, self.model).n == 1.0

        self.run(test)

    def test_a_job_that_fails_counts_as_failed_and_teaches_no_latency(self) -> None:
        async def test(scene: Scene) -> None:
            scene.work.fails = True
            told = await scene.call({})
            await scene.ends.none_open.wait()
            assert not told.ok
            assert dict(scene.tally.ended) == {"failed": 1}
            assert (scene.tally.offered, scene.tally.known, scene.tally.on_time) == (1, 1, 0)
            assert sum(scene.journal.engine.profile(r, self.model).n for r in ("a", "b")) == 0.0

        self.run(test)

    def test_a_job_that_its_caller_gave_up_is_cancelled(self) -> None:
        if not self.gives_up:
            pytest.skip("its caller cannot give up")

        async def test(scene: Scene) -> None:
            await scene.abandon()
            await self.noticed(scene)
            scene.work.release.set()
            await scene.ends.none_open.wait()
            assert dict(scene.tally.ended) == {"cancelled": 1}
            assert scene.tally.known == 0

        self.run(test)

    async def noticed(self, scene: Scene) -> None:
        """Waits until a server knows that its client is gone, where that takes a server's turn."""

    def test_a_job_that_no_resource_takes_is_refused_with_its_reason_and_does_not_run(self) -> None:
        async def test(scene: Scene) -> None:
            for name in ("a", "b"):
                scene.journal.engine.drain(name)
            told = await scene.call({})
            assert (told.ok, told.status, told.reason) == (False, 503, "no_resource")
            assert dict(scene.tally.refused) == {"no_resource": 1}
            assert scene.work.n == 0

        self.run(test)

    def test_a_job_with_too_little_time_is_refused_as_late(self) -> None:
        async def test(scene: Scene) -> None:
            for _ in range(40):  # until it is known how long a job takes on either
                await scene.call({})
            told = await scene.call({DEADLINE: "0.001"})
            assert (told.ok, told.status, told.reason) == (False, 429, "late")
            assert scene.work.n == 40

        self.run(test)

    def test_a_deadline_in_the_header_holds_and_reaches_the_work(self) -> None:
        async def test(scene: Scene) -> None:
            assert (await scene.call({DEADLINE: "9000"})).ok
            [decision] = scene.journal.decisions
            assert 0.0 < decision.left_s <= 9.0
            [left_s] = scene.work.left_s
            assert left_s is not None
            assert 0.0 < left_s <= 9.0

        self.run(test)

    def test_the_class_in_the_header_and_the_request_id_are_the_jobs(self) -> None:
        async def test(scene: Scene) -> None:
            assert (await scene.call({CLASS: "urgent", "x-request-id": "r-1"})).ok
            [decision] = scene.journal.decisions
            assert (decision.qos, decision.request_id) == ("urgent", "r-1")
            assert scene.journal.classes["urgent"].offered == 1

        self.run(test)

    @pytest.mark.parametrize("headers", [{DEADLINE: "soon"}, {CLASS: "none"}, {"x-slo-ttft-ms": "5"}])
    def test_a_header_that_cannot_be_heeded_is_a_bad_request_and_no_job(
        self, headers: dict[str, str]
    ) -> None:
        async def test(scene: Scene) -> None:
            told = await scene.call(headers)
            assert (told.ok, told.status, told.reason) == (False, 400, "bad_header")
            assert sum(tally.offered for tally in scene.journal.classes.values()) == 0
            assert scene.work.n == 0

        self.run(test)

    def test_of_many_jobs_at_once_each_is_counted_once(self) -> None:
        async def test(scene: Scene) -> None:
            n = 24
            for fails in (False, True):
                scene.work.fails = fails
                told = await asyncio.gather(*(scene.call({}) for _ in range(n)))
                assert [t.ok for t in told if t.reason is None] == [not fails] * sum(
                    t.reason is None for t in told
                )
            await scene.ends.none_open.wait()
            refused = scene.tally.refused.total()
            assert scene.tally.offered == 2 * n
            assert scene.tally.ended["completed"] == n
            assert scene.tally.ended["failed"] == n - refused

        self.run(test)

    def test_callers_that_give_up_at_any_moment_leave_no_ticket_open(self) -> None:
        if not self.gives_up:
            pytest.skip("its caller cannot give up")

        async def test(scene: Scene) -> None:
            callers = []
            for turns in range(40):
                callers.append(asyncio.ensure_future(scene.call({})))
                for _ in range(turns):
                    await asyncio.sleep(0)
                callers[-1].cancel()
            await asyncio.wait(callers)
            assert (await scene.call({})).ok

        self.run(test)
