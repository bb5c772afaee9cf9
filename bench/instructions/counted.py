"""What callgrind counts: `python -m bench.instructions.counted K plain|columns|streams JOBS`, under valgrind only.

Jobs arrive every 100 us of a clock that is set by hand (under valgrind time would fly, and every job look overdue)
and end when they were expected to, give or take. In each phase as many jobs are played and one kind of call is
counted. "nothing" counts what starting and stopping costs by itself, "bare" the bare C loop over the requests. Prints
how many calls each phase counted, one JSON object.
"""

from __future__ import annotations

import heapq
import json
import sys
from collections.abc import Callable

import numpy as np

import tailwise as tw
from bench.bare import Bare
from bench.compiled import compiled
from bench.streams import BareStreams, Streams
from bench.subject import N_REQUESTS, NOISE, Subject

__all__ = ["BARE", "COMPLETE", "NOTHING", "SELECT"]

NOTHING, SELECT, COMPLETE, BARE = "nothing", "select", "complete", "bare"
#: Services of 5 ms and more: at least 50 jobs are in flight, and 256 fit on a lane.
GAP_S = 1e-4
#: Answers take a tenth of a second, and only so many lanes keep both bounds: none of them is to be full.
STREAMS_GAP_S = 1e-3
N_WARM = 500
N_REST = 9  #: tokens after the first, of two signals: a tenth of a second

Call = Callable[[], object]


def main() -> None:
    k, kind, n_jobs = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    marks = compiled("instructions/marks.c")
    if not marks.marks_running():
        sys.exit("bench.instructions.counted: not under valgrind")
    # both bare loops are of the idle engine
    subject: Subject | Streams
    bare: Bare | BareStreams
    if kind == "streams":
        subject = streams = Streams(k, tw.ManualClock())
        bare = BareStreams(streams)
    else:
        subject = plain = Subject(k, kind == "columns", tw.ManualClock())
        bare = Bare(plain)
    played = _Played(subject)
    played.play(N_WARM, "", _nothing)
    marks.marks_instrument()
    n_calls = {}
    for phase in (NOTHING, SELECT, COMPLETE):
        n_calls[phase] = played.play(n_jobs, phase, marks.marks_toggle)
        marks.marks_dump(phase.encode())
    marks.marks_toggle()
    bare.pass_ns()
    marks.marks_toggle()
    marks.marks_dump(BARE.encode())
    print(json.dumps(n_calls | {BARE: N_REQUESTS}))


class _Played:
    """An engine in the middle of its work: who plays on finds the jobs in flight that were left there."""

    def __init__(self, subject: Subject | Streams) -> None:
        assert isinstance(subject.clock, tw.ManualClock)
        self._subject, self._clock = subject, subject.clock
        rng = np.random.default_rng(subject.n_resources)
        self._factors = np.exp(NOISE * rng.standard_normal(N_REQUESTS)).tolist()
        self._gap_s = STREAMS_GAP_S if isinstance(subject, Streams) else GAP_S
        self._ends: list[tuple[float, int, tw.Ticket, float]] = []
        self._n = 0

    def play(self, n_jobs: int, phase: str, toggle: Call) -> int:
        """n_jobs more arrivals, and the ends until the last of them. Returns how many calls the phase has."""
        select, Z, mask = self._subject.route.select, self._subject.Z, self._subject.mask
        of_nothing, of_select, of_complete = (
            toggle if phase == name else _nothing for name in (NOTHING, SELECT, COMPLETE)
        )
        n_ends = 0
        for _ in range(n_jobs):
            self._n += 1
            i, now_s = self._n % N_REQUESTS, self._n * self._gap_s
            n_ends += self._complete_until(now_s, of_complete)
            self._clock.set(now_s)
            x = self._subject.tuples[i]
            of_nothing()
            of_nothing()
            of_select()
            ticket = select(x, Z, mask=mask)
            of_select()
            assert ticket.median_s is not None
            seconds = ticket.median_s * self._factors[i] + (
                0.0 if ticket.tpot_s is None else N_REST * ticket.tpot_s
            )
            heapq.heappush(self._ends, (now_s + seconds, self._n, ticket, seconds))
        return n_ends if phase == COMPLETE else n_jobs

    def _complete_until(self, now_s: float, of_complete: Call) -> int:
        n = 0
        while self._ends and self._ends[0][0] <= now_s:
            end_s, _, ticket, seconds = heapq.heappop(self._ends)
            self._clock.set(end_s)
            if ticket.tpot_s is None:
                of_complete()
                ticket.complete(seconds)
                of_complete()
            else:
                ticket.first(seconds - N_REST * ticket.tpot_s)
                of_complete()
                ticket.complete(seconds, tokens=N_REST + 1)
                of_complete()
            n += 1
        return n


def _nothing() -> None:
    pass


if __name__ == "__main__":
    main()
