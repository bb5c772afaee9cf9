"""One engine in the hands of many threads, and the record of what each of them did to it."""

from __future__ import annotations

import random
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

import tailwise as tw
from tests.guarantees.machine import CLASSES, MODELS, PAIRS, RESOURCES

MAX_TICKETS = 32
EXTRA = "extra"  # the resource that comes and goes


class Stepping:
    """A user's clock in Python: a thread may be switched in it, and at times it goes back."""

    def __init__(self) -> None:
        self.ns = 100_000_000_000

    def now_ns(self) -> int:
        now = self.ns
        self.ns = now + 1_000_000
        return now


class Number:
    """A number of the user's own, read by Python."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __float__(self) -> float:
        return self.value


class Mask(int):
    """A bit set of the user's own, read by Python."""

    def __int__(self) -> int:
        return super().__int__()


class Knot:
    """Holds a ticket until the collector finds it, in whichever thread."""

    def __init__(self, ticket: tw.Ticket) -> None:
        self.ticket, self.itself = ticket, self


@contextmanager
def eager_switches() -> Iterator[None]:
    """Threads take turns every microsecond instead of every five milliseconds."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)


def together(calls: Sequence[Callable[[], object]]) -> None:
    """Runs each in a thread of its own, all from one moment on. Raises what the first of them raised."""
    barrier, raised = threading.Barrier(len(calls)), []

    def run(call: Callable[[], object]) -> None:
        barrier.wait()
        try:
            call()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[0]


def engine_of(clock: tw.Clock) -> tw.Engine:
    return tw.Engine(
        RESOURCES, MODELS, CLASSES, clock=clock, seed=1, max_tickets=MAX_TICKETS, max_resources=16
    )


class Hammer:
    """One thread's life. `done` counts what came of it; tickets that several threads hold are in `shared`."""

    def __init__(self, engine: tw.Engine, shared: list[tw.Ticket], seed: int) -> None:
        self.engine, self.shared = engine, shared
        self.dice = random.Random(seed)
        self.routes = [engine.route(*pair) for pair in PAIRS]
        self.mine: list[tw.Ticket] = []
        self.done: Counter[str] = Counter()

    def run(self, n_steps: int) -> None:
        steps = (
            *(self.decide, self.decide, self.decide, self.decide, self.settle, self.settle, self.settle),
            *(
                self.settle_shared,
                self.share,
                self.touch,
                self.touch,
                self.look,
                self.say,
                self.come_and_go,
                self.leave,
            ),
        )
        for _ in range(n_steps):
            self.dice.choice(steps)()

    # --- decisions ----------------------------------------------------------------------------------------

    def keep(self, ticket: tw.Ticket | None) -> None:
        if ticket is None:
            return
        self.done["tickets"] += 1
        self.done["admitted"] += ticket.admitted
        if ticket.admitted:
            assert not ticket.settled
            self.mine.append(ticket)

    def request(self, route: tw.Route) -> object:
        """The features as a tuple, an array, numbers of the user's own, or none of a known kind."""
        value = 1.0 + self.dice.randrange(64)
        kinds = (value,), np.array([value]), (Number(value),), [value]
        return self.dice.choice(kinds)

    def options(self, route: tw.Route) -> dict[str, object]:
        masks = None, None, 0b1111, Mask(0b1111), np.ones(self.engine.n_lanes, bool)
        return {
            "Z": self.dice.choice([None, np.full((len(route.model.given), self.engine.n_lanes), 3.0)]),
            "mask": self.dice.choice(masks),
        }

    def decide(self) -> None:
        route = self.dice.choice(self.routes)
        x, options = self.request(route), self.options(route)
        if self.dice.random() < 0.2:
            options["deadline_s"] = Number(0.7)
        if self.dice.random() < 0.2:
            options["default"] = "wide"
        if self.dice.random() < 0.1:
            options["explain"] = True
        try:
            if self.dice.random() < 0.1:
                options.pop("explain", None), options.pop("default", None)
                self.keep(route.observe("wide", x, **options))
            else:
                self.keep(route.select(x, **options))
        except tw.CapacityError:
            self.done["full"] += 1
            for _ in range(min(len(self.mine), 8)):
                self.settle()
        except (tw.InputError, TypeError) as error:
            self.refused(error)

    def refused(self, error: Exception) -> None:
        """A lane came meanwhile, so that a row or a mask is too short; a Number is none but in a tuple."""
        assert any(told in str(error) for told in ("Z must", "bool array", "deadline_s=")), error
        self.done["refused"] += 1

    # --- what becomes of them -----------------------------------------------------------------------------

    def settle(self) -> None:
        """A ticket that nobody else has: it settles, whatever happens meanwhile."""
        if self.mine:
            self.end(self.mine.pop(self.dice.randrange(len(self.mine))))

    def end(self, ticket: tw.Ticket) -> None:
        how = self.dice.choice(
            ("complete", "complete", "complete", "fail", "cancel", "timeout", "drop", "retry")
        )
        if how == "complete":
            ticket.complete(self.dice.choice((None, 60.0, Number(90.0))))
        elif how == "retry":
            try:
                second = ticket.retry()
            except tw.CapacityError:  # another took its place before it was tried again
                second = None
            how = "fail"
            self.keep(second)
        else:
            if how == "timeout":
                ticket.start()
            getattr(ticket, how)()
        assert ticket.settled
        self.done[how] += 1
        if how in ("complete", "fail", "timeout") and ticket.resource.name != EXTRA:
            self.done["results"] += 1

    def share(self) -> None:
        if self.mine:
            self.shared.append(self.mine.pop())

    def settle_shared(self) -> None:
        """Two threads may be at it: one of them settles it, the others hear that it is settled."""
        for ticket in self.dice.sample(held := self.shared[-12:], min(3, len(held))):
            try:
                with_it = ticket.complete if self.dice.random() < 0.5 else ticket.fail
                with_it()
            except tw.TicketError:
                self.done["too late"] += 1
            else:
                self.done["settled shared"] += 1
                self.done["complete"] += 1
                if ticket.resource.name != EXTRA:
                    self.done["results"] += 1

    def leave(self) -> None:
        """Drops a ticket, at once or for the collector to find."""
        if self.mine:
            Knot(self.mine.pop()) if self.dice.random() < 0.5 else self.mine.pop()
            self.done["abandoned"] += 1

    # --- what is asked and said meanwhile -----------------------------------------------------------------

    def touch(self) -> None:
        if not self.mine:
            return
        ticket = self.dice.choice(self.mine)
        what = self.dice.choice(
            ("start", "first", "progress", "reconsider", "copy", "may_start", "explain", "read")
        )
        try:
            if what == "progress":
                ticket.progress(self.dice.randrange(1, 99))
            elif what == "may_start":
                ticket.may_start(Number(0.1))
            elif what == "copy":
                self.keep(ticket.copy())
            elif what == "read":
                assert ticket.expected_s >= 0.0
                assert ticket.residual_s >= 0.0
                assert len(ticket.features) > 1
                repr(ticket)
            else:
                getattr(ticket, what)()
        except tw.InputError:  # one signal; said before
            pass
        except tw.TicketError:  # it has started, or has not
            assert what in ("reconsider", "copy")

    def look(self) -> None:
        route = self.dice.choice(self.routes)
        what = self.dice.randrange(6)
        if what == 0:
            for row in route.peek((3.0,)):
                assert 0.0 <= row.p_on_time <= 1.0
        elif what == 1:
            for one in self.engine.statistics():
                assert np.isfinite(one.sums[0]).all()
        elif what == 2:
            certificate = self.engine.certificate(route.qos.name)
            assert 0 <= certificate.open <= certificate.most_open
        elif what == 3:
            assert self.engine.profile("wide", route.model.name).n >= 0.0
            self.engine.health("wide"), self.engine.overdue("wide"), self.engine.alarms("wide")
        elif what == 4:
            assert 0 <= self.engine.counters["n_open"] <= MAX_TICKETS
            assert min(self.engine.load("fifo")) >= 0
        else:
            self.engine.take_disturbed()

    def say(self) -> None:
        what = self.dice.randrange(5)
        if what == 0:
            self.engine.report("wide", kv=1.5, running=2, waiting=1)
        elif what == 1:
            self.engine.changed("ranked")
        elif what == 2:
            self.engine.mode(self.dice.choice(("active", "shadow")), rollout=self.dice.choice((0.5, 1.0)))
        elif what == 3:
            (self.engine.drain if self.dice.random() < 0.5 else self.engine.undrain)("fifo")
        else:
            self.engine.own_queue("wide")

    def come_and_go(self) -> None:
        try:
            if self.dice.random() < 0.5:
                self.engine.add(tw.Resource(EXTRA, slots=2), profiles=[tw.Profile(EXTRA, "plain", 0.02)])
                self.done["added"] += 1
            else:
                self.engine.remove(EXTRA)
                self.done["removed"] += 1
        except (tw.ConfigError, tw.UnknownName, tw.CapacityError):
            self.done["neither"] += 1
