"""Runs on their way through a worker: handed over, watched, their outputs passed on, ended with what they teach."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from tailwise.adapters.torch.fit import Fit
from tailwise.adapters.torch.job import Work
from tailwise.adapters.torch.pool import Pool
from tailwise.adapters.torch.stats import Counts, ExecutorStats, Progress
from tailwise.adapters.torch.worker import Handle, Outcome, as_exception
from tailwise.dispatch import Dispatch
from tailwise.errors import JobTimedOut
from tailwise.job import Orders, Run
from tailwise.timers import Timer, Timers

__all__ = ["Service", "Watch"]

log = logging.getLogger("tailwise.torch")

#: How long a resource that ran out of memory gets smaller batches of the model, nanoseconds: what else was in its
#: memory may be gone by then.
_CAUTIOUS_NS = 60_000_000_000


@dataclass(slots=True, eq=False)
class Watch:
    """Runs that are served as one, the lead first. model, lane: a run forgets its job when it has ended."""

    runs: tuple[Run[Work], ...]
    model: str
    lane: int
    handle: Handle | None = None
    timer: Timer[Watch] | None = None


class Service:
    """What an executor does with runs that start. accept: takes note of orders, under `lock`; carry_out: what is left
    of them to do, not under it."""

    def __init__(
        self,
        dispatch: Dispatch[Work],
        pool: Pool,
        fit: Fit,
        lock: threading.Lock,
        accept: Callable[[Orders[Work]], None],
        carry_out: Callable[[Orders[Work]], None],
        progress_s: float | None,
    ) -> None:
        self._dispatch = dispatch
        self._pool = pool
        self._fit = fit
        self._lock = lock
        self._accept = accept
        self._carry_out = carry_out
        self._now_ns = fit.engine.clock.now_ns
        self._names = tuple(r.name for r in fit.engine.resources)
        self._workers = pool.workers
        self._timers: Timers[Watch] = Timers()
        self._counts = Counts((q.name for q in fit.engine.qos), len(self._names))
        self._limits: dict[tuple[int, str], tuple[int, int]] = {}  # by lane and model: items, until when (ns)
        self._progress = Progress(self._counts, progress_s)

    def accept(self, orders: Orders[Work]) -> None:
        """What callers may see of orders: that their job runs, how it ended. Under the lock."""
        if orders.error is not None:
            log.error("the policy raised; the jobs go on", exc_info=orders.error)
        if orders.start:
            self._progress.begin(self._now_ns())
        for run in orders.start:
            for member in run.batch:
                work = member.job.payload
                if not work.running:  # a copy's job runs already
                    work.future.set_running_or_notify_cancel()
                    work.running = True
        for job in orders.ended:
            lane = job.assignment.lane if job.last is None else job.last.lane
            record = job.payload.record(job, self._names[lane] if lane >= 0 else None)
            job.payload.future.record = record
            self._counts.ended(record)

    def launch(self, orders: Orders[Work]) -> None:
        """Hands started runs to their workers as soon as these have their models. One that cannot be handed over
        fails, and what follows from that is added to the orders."""
        interrupt: BaseException | None = None
        for run in orders.start:  # grows while it is walked through
            watch = Watch(run.batch, run.job.model, run.lane)
            error: BaseException | None = None
            try:
                if self._pool.residency.use(watch.lane, watch.model, partial(self._loaded, watch)):
                    error = self._hand_over(watch)
            except BaseException as raised:  # Ctrl-C in the caller's thread
                error = interrupt = raised
            if error is not None:
                _add(orders, self._failed(watch, error))
        if interrupt is not None:
            raise interrupt

    def _loaded(self, watch: Watch, error: BaseException | None) -> None:
        """The run waited for its model, which is there now, or cannot be."""
        error = self._hand_over(watch) if error is None else error
        if error is not None:
            self._carry_out(self._failed(watch, error))

    def _hand_over(self, watch: Watch) -> Exception | None:
        """Returns why the worker did not take it."""
        lead = watch.runs[0]
        first = lead.job.payload
        batch = [first.inputs] if len(watch.runs) == 1 else [run.job.payload.inputs for run in watch.runs]
        on_output = None if first.sink is None else partial(self._output, lead, first)
        try:
            handle = self._workers[watch.lane].submit(
                watch.model, batch, partial(self._done, watch), on_output=on_output
            )
        except Exception as error:
            return error
        limit_s = self._fit.timeout_s(watch.model)
        if limit_s is not None:
            with self._lock:
                if not lead.settled:
                    watch.handle = handle
                    watch.timer = self._timers.set(watch, self._now_ns() + round(limit_s * 1e9))
                    self._accept(Orders())  # the timer's thread may have to wake sooner
        return None

    def _failed(self, watch: Watch, error: BaseException) -> Orders[Work]:
        """Settles a run that never reached its worker."""
        now_ns = self._now_ns()
        n, died = len(watch.runs), not self._workers[watch.lane].alive
        return self._end(watch, Outcome.failed(as_exception(error), n, now_ns, now_ns, worker_died=died))

    def _done(self, watch: Watch, outcome: Outcome) -> None:
        """A worker hands a result back: learn, keep the slot busy, only then wake whoever waits for the job."""
        self._carry_out(self._end(watch, outcome))

    def _end(self, watch: Watch, outcome: Outcome) -> Orders[Work]:
        """Settles runs that were served as one and frees their slot; what then starts and ends."""
        lane = watch.lane
        if watch.runs[0].settled:  # Ctrl-C came when its worker had it already
            return Orders()
        cold = self._pool.residency.used(lane, watch.model)
        # the first calls after a load, and those of a batch that was split, are no measure of jobs like these
        unlike = cold or outcome.n_calls > 1
        orders: Orders[Work] = Orders()
        with self._lock:
            now_ns = self._now_ns()
            self._timers.stop(watch.timer)
            watch.timer = watch.handle = None  # the handle knows the inputs, and who is to be told: this
            self._counts.served(lane, outcome)
            self._heed_memory(watch, outcome, now_ns)
            slot_lost = outcome.worker_died and not self._pool.lost_slot(lane)
            for run, result in zip(watch.runs, outcome.results, strict=True):
                work = run.job.payload
                if run.job.end is None and work.speaker in (None, run):
                    work.outcome, work.result = outcome, result
                tokens = work.n_outputs if work.n_outputs and self._fit.streams(watch.model) else None
                end = "completed" if result.error is None else _end_of(result.error)
                try:
                    more = self._dispatch.ended(
                        run, end, now_ns, slot_lost=slot_lost, warmup=unlike, tokens=tokens
                    )
                except Exception:
                    more = self._owed(lane, now_ns)
                _add(orders, more)
            if slot_lost:
                try:
                    _add(orders, self._dispatch.look_again(1 << lane, now_ns))
                except Exception:
                    _add(orders, self._owed(lane, now_ns))
            self._accept(orders)
        return orders

    def _owed(self, lane: int, now_ns: int) -> Orders[Work]:
        """What a call has ordered by the moment at which the policy raised. Under the lock."""
        log.exception("the policy raised; the jobs go on")
        try:
            return self._dispatch.free(lane, 0, now_ns)
        except Exception:  # then the next call has it
            log.exception("the policy raised again")
            return Orders()

    def _heed_memory(self, watch: Watch, outcome: Outcome, now_ns: int) -> None:
        """Halves the batches of a model on a resource that did not hold one of them, for a while. Under the lock."""
        key = watch.lane, watch.model
        limit = self._limits.get(key)
        if outcome.out_of_memory and len(watch.runs) > 1:
            items = max(sum(len(run.job.payload.inputs[0]) for run in watch.runs) // 2, 1)
            self._limits[key] = items, now_ns + _CAUTIOUS_NS
            log.warning(
                "%s: out of memory; batches of %r are of at most %d items",
                self._names[watch.lane],
                key[1],
                items,
            )
            self._dispatch.limit_batch(*key, items)
        elif limit is not None and now_ns >= limit[1]:
            del self._limits[key]
            self._dispatch.limit_batch(*key, None)

    def _output(self, run: Run[Work], work: Work, value: Any, now_ns: int) -> None:
        """One output of a generator: timed, taught, passed on."""
        with self._lock:
            if run.settled or work.speaker not in (None, run):
                return
            if work.speaker is None:
                self._speaks(run, now_ns)
            work.speaker = run
            work.n_outputs += 1
            work.last_ns = now_ns
            ticket = run.assignment.ticket
            if work.n_outputs == 1:
                work.first_ns = now_ns
            if ticket is not None and self._fit.streams(run.job.model):
                if work.n_outputs == 1:
                    ticket.first()
                else:
                    ticket.progress(work.n_outputs)
        assert work.sink is not None
        work.sink(value)

    def _speaks(self, run: Run[Work], now_ns: int) -> None:
        try:
            self._dispatch.speaks(run, now_ns)
        except Exception:
            log.exception("the policy raised; the jobs go on")

    def next_due_ns(self) -> int | None:
        """When the queues have something to do next, a running job is given up, or progress is told; None while
        nothing is coming. Under the lock."""
        due_ns = self._dispatch.next_due_ns()
        for other_ns in (self._timers.next_ns(), self._progress.due_ns):
            if other_ns is not None and (due_ns is None or other_ns < due_ns):
                due_ns = other_ns
        return due_ns

    def progress(self, now_ns: int) -> str | None:
        """A line for the log, when it is time for one. Under the lock."""
        return self._progress.line(now_ns, len(self._dispatch), self._dispatch.n_queued)

    def overdue(self, now_ns: int) -> list[Watch]:
        """The runs that are to be given up now. Under the lock."""
        late = []
        while (watch := self._timers.pop(now_ns)) is not None:
            late.append(watch)
        return late

    def give_up(self, late: list[Watch], progress: str | None) -> None:
        """Not under the lock: the callers of these runs are told. progress: a line for the log."""
        if progress is not None:
            log.info(progress)
        for watch in late:
            limit_s = self._fit.timeout_s(watch.model)
            name = self._names[watch.lane]
            log.warning(
                "%s: a job of %r runs for longer than %s s and is given up", name, watch.model, limit_s
            )
            error = JobTimedOut(f"{watch.model!r} on {name!r} took longer than {limit_s} s")
            if watch.handle is not None:
                watch.handle.give_up(error)

    def stats(self) -> ExecutorStats:
        states = self._pool.residency.states()
        with self._lock:
            n_open, classes = len(self._dispatch), self._counts.classes()
            lanes = [
                self._counts.resource(
                    lane,
                    name,
                    self._workers[lane].alive,
                    self._workers[lane].slots,
                    self._dispatch.load(lane),
                    {model: items for (at, model), (items, _) in self._limits.items() if at == lane},
                    [state for state in states if state.resource == name],
                )
                for lane, name in enumerate(self._names)
            ]
        return ExecutorStats(n_open, classes, tuple(lanes))


def _add(orders: Orders[Work], more: Orders[Work]) -> None:
    orders.start += more.start
    orders.ended += more.ended


def _end_of(error: BaseException) -> Literal["timed_out", "failed"]:
    return "timed_out" if isinstance(error, JobTimedOut) else "failed"
