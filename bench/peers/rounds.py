"""Times of one round: of this library and the arrays beside it, and of any peer."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np

from bench.arrays import Decide, numba_decide, numpy_decide
from bench.bare import Bare
from bench.compiled import compiler
from bench.peers.peer import Peer
from bench.peers.scene import Scene, Take
from bench.ratio import N_PASSES, median_pass
from bench.single import clock_ns
from bench.subject import N_REQUESTS, Subject

__all__ = ["OWN", "Own", "Times", "Turn", "turn_of"]

#: A round gives a peer about this much time, two jobs at least.
TURN_NS = 40e6


@dataclass(frozen=True, slots=True)
class Times:
    """One round. choose_ns: the median call; learn_ns: the mean one, None where nothing is learned."""

    choose_ns: float
    learn_ns: float | None = None


Turn = Callable[[], Times]


@dataclass(frozen=True, slots=True)
class Own:
    """A row that needs no more than `make bench` does."""

    name: str
    title: str
    differs: str
    version: Callable[[], str]
    turn: Callable[[Scene], Turn]


def turn_of(peer: Peer, scene: Scene) -> Turn:
    """As many jobs a round as fit into TURN_NS, by the second of two trials of two jobs: the first one warms."""
    take = scene.stream()
    _play(peer, take, 2, 0.0)
    trial = _play(peer, take, 2, 0.0)
    of_job_ns = trial.choose_ns + (trial.learn_ns or 0.0)
    n, own_ns = int(np.clip(TURN_NS / of_job_ns, 2, N_REQUESTS)), clock_ns(time.process_time_ns)
    return lambda: _play(peer, take, n, own_ns)


def _play(peer: Peer, take: Take, n: int, own_ns: float) -> Times:
    """Chooses for the next n requests, then tells how long each took where it was sent. own_ns: the clock's own.

    Time of the processor, not of the wall: on a shared machine a call of a millisecond is often preempted and one of
    a microsecond seldom, and that is not to tell between them. Below a microsecond that clock is too coarse.
    """
    clock = time.process_time_ns
    choose, learn = peer.choose, peer.learn
    choose_ns, learn_ns, sent = [], [], []
    for x, seconds in take(n):
        begin_ns = clock()
        lane = choose(x)
        choose_ns.append(clock() - begin_ns)
        sent.append((lane, x, seconds[lane]))
    for lane, x, s in sent:
        begin_ns = clock()
        learn(lane, x, s)
        learn_ns.append(clock() - begin_ns)
    return Times(float(np.median(choose_ns)) - own_ns, float(np.mean(learn_ns)) - own_ns)


def _bare(scene: Scene) -> Turn:
    bare = Bare(scene.subject)
    return lambda: Times(median_pass(bare.pass_ns))


def _tailwise(scene: Scene) -> Turn:
    """Learning includes the rebuilds of the served copy, so it is the mean of passes over all requests."""
    select, take, own_ns = scene.subject.route.select, scene.stream(), clock_ns()
    clock = time.perf_counter_ns

    def play() -> Times:
        choose_ns, learn_ns = [], 0
        for _ in range(N_PASSES):
            sent = []
            for x, seconds in take(N_REQUESTS):
                begin_ns = clock()
                ticket = select(x)
                choose_ns.append(clock() - begin_ns)
                sent.append((ticket.complete, seconds[ticket.lane]))
            begin_ns = time.process_time_ns()
            for complete, s in sent:
                complete(s)
            learn_ns += time.process_time_ns() - begin_ns
        return Times(float(np.median(choose_ns)) - own_ns, learn_ns / len(choose_ns))

    return play


def _arrays(decide_of: Callable[[Subject], Decide]) -> Callable[[Scene], Turn]:
    def turn(scene: Scene) -> Turn:
        decide, requests, own_ns = decide_of(scene.subject), scene.subject.requests, clock_ns()

        def play() -> Times:
            times = []
            for u in requests:
                begin_ns = time.perf_counter_ns()
                decide(u)
                times.append(time.perf_counter_ns() - begin_ns)
            return Times(float(np.median(times)) - own_ns)

        return play

    return turn


def _compiler() -> str:
    command = compiler()
    lines = subprocess.run([command, "--version"], capture_output=True, text=True, check=True).stdout
    return f"{command} {lines.splitlines()[0].split()[-1]}"


#: Bare C is first and always there: it is what the others are compared with.
OWN = (
    Own(
        "bare", "bare C", "the arithmetic of one decision; no Python, no clock, no ticket, learns nothing",
        _compiler, _bare,
    ),
    Own(
        "tailwise", "tailwise", "the whole decision: wait, service, deadline, P(on time), a claim and a ticket",
        lambda: version("tailwise"), _tailwise,
    ),
    Own(
        "numba", "numba", "tailwise's arithmetic and numbers, compiled; no clock, no ticket, learns nothing",
        lambda: version("numba"), _arrays(numba_decide),
    ),
    Own(
        "numpy", "NumPy", "tailwise's arithmetic and numbers, whole arrays; no clock, no ticket, learns nothing",
        lambda: version("numpy"), _arrays(numpy_decide),
    ),
)  # fmt: skip
