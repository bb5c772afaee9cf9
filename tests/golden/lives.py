"""A random engine is lived through: what it is asked on the way are the golden decisions.

No decision that is compared may leave a trace that depends on its outcome, or one that fell otherwise by a rounding
would change all that follow. So state is made of jobs that somebody else sent (`route.observe`): what tailwise
would have preferred is compared, and where the job goes is given. That is decided with a generator that the clock
stirs anew each time. For real decisions, with their refusals and probes, time stands still at the end of a life:
each lane's line of residuals is drawn at that moment first (a job that starts and is cancelled), so that a decision
that is cancelled at once leaves the line as it was, wherever it went; only the generator goes on, from draw to
draw.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import tailwise as tw
from tests.golden import worlds
from tests.golden.dice import Dice

__all__ = ["N_DECIDED", "N_OBSERVED", "REFUSED", "Asked", "Life", "live"]

N_OBSERVED, N_DECIDED = 200, 50
#: Instead of a lane.
REFUSED = {
    reason: 255 - i
    for i, reason in enumerate(
        ("late", "no_resource", "guarantee", "affinity", "memory", "accuracy", "cost", "throughput")
    )
}


@dataclass(frozen=True, slots=True)
class Asked:
    """One decision: of whom, and of what."""

    route: tw.Route
    x: Any
    Z: np.ndarray | None
    options: dict[str, Any]
    decided: bool  # by a select, not preferred beside an observe


Watch = Callable[[int, Asked, "Life"], None]


def live(seed: int, watch: Watch | None = None) -> list[int]:
    """N_OBSERVED + N_DECIDED lanes, or REFUSED. watch: called before each decision, may only look on."""
    life, chosen = Life(seed), []
    life.learn()
    for _ in range(N_OBSERVED):
        life.go_on()
        asked = life.ask(False)
        if watch is not None:
            watch(len(chosen), asked, life)
        chosen.append(life.observe(asked))
    life.stand_still()
    for _ in range(N_DECIDED):
        asked = life.ask(True)
        if watch is not None:
            watch(len(chosen), asked, life)
        chosen.append(life.decide(asked))
    return chosen


class Life:
    def __init__(self, seed: int) -> None:
        self.dice = dice = Dice(seed)
        k, streams = worlds.n_resources(dice), dice.chance(0.3)
        self.streams = streams
        self.resources = worlds.resources(dice, k, streams)
        names = [r.name for r in self.resources]
        models = [
            worlds.model(dice, f"m{i}", names, streams and i == 0, i > 0) for i in range(dice.whole(1, 2))
        ]
        qos = worlds.classes(dice, streams)
        self.clock = tw.ManualClock(dice.real(0.0, 100.0))
        self.engine = tw.Engine(
            self.resources,
            models,
            qos,
            profiles=[p for m in models for p in worlds.profiles(dice, m, names)],
            clock=self.clock,
            seed=seed,
            tau_s=dice.one_of((30.0, 300.0, math.inf)),
            detect_change=dice.chance(0.8),
        )
        self.routes: list[tw.Route] = []
        self.candidates = {m.name: self.engine.candidates(m.name) for m in models}
        for m in models:
            fitting = [q for q in qos if m.streams or (q.ttft_s == math.inf and q.objective != "shared")]
            self.routes += [self.engine.route(m.name, q.name) for q in fitting]
        self.possible = [r for r in self.routes if self.candidates[r.model.name]]
        self.plain = [r for r in self.routes if r.qos.name == "any"]  # refuse nobody; a model each
        # lanes that hardly differ make close calls, those that differ much make lanes that are never chosen
        spread, self.noise = dice.one_of((0.0, 0.002, 0.02, 0.5)), dice.one_of((0.001, 0.01, 0.1))
        self.speed = [spread * dice.normal() for _ in range(k)]
        self.slope = [0.3 + 0.3 * min(spread, 0.3) * dice.normal() for _ in range(k)]
        self.open: list[tw.Ticket] = []
        self.most_open = 1 + int(
            dice.real(0.05, 1.3) * sum(min(r.max_running or r.slots, 4) for r in self.resources)
        )
        self.gap_s = worlds.BASE_S / self.most_open

    # --- what happens to it ---

    def learn(self) -> None:
        """From none to a dozen results of each lane; in some lives none of some lanes."""
        dice, tried = self.dice, self.dice.one_of((0.5, 1.0, 1.0))
        for route in self.plain:
            for lane in self.candidates[route.model.name]:
                if not dice.chance(tried):
                    continue
                for _ in range(dice.one_of((0, 1, 4, 12)) if len(self.resources) < 65 else 2):
                    ticket = route.select(*self._request(route), mask=1 << lane)
                    self._complete(ticket, lane)

    def go_on(self) -> None:
        """Time passes, jobs start and end, resources report, and seldom one is drained, or said to have changed."""
        dice = self.dice
        self.clock.advance(dice.exponential(self.gap_s))
        while len(self.open) > self.most_open:
            self._end(0)
        if self.open and dice.chance(0.5):
            self._end(0 if dice.chance(0.7) else dice.whole(0, len(self.open) - 1))
        if self.open and dice.chance(0.5):
            self.open[dice.whole(0, len(self.open) - 1)].start()
        if dice.chance(0.15):
            self._report(dice.one_of(self.resources))
        if dice.chance(0.02):
            resource = dice.one_of(self.resources).name
            dice.one_of((self.engine.drain, self.engine.undrain, self.engine.undrain, self.engine.changed))(
                resource
            )

    def stand_still(self) -> None:
        """Every lane's line of residuals is drawn now."""
        for route in self.plain:
            x, Z = self._request(route)
            for lane in self.candidates[route.model.name]:
                ticket = route.observe(self.resources[lane].name, x, Z)
                ticket.start()
                ticket.cancel()

    # --- what it is asked ---

    def ask(self, decided: bool) -> Asked:
        dice = self.dice
        route = dice.one_of(self.routes if decided else self.possible)
        x, Z = self._request(route)
        options: dict[str, Any] = {}
        if self.candidates[route.model.name] and dice.chance(0.4):
            options["mask"] = self._mask(route)
        bound_s = min(route.qos.ttft_s, route.qos.deadline_s)
        if dice.chance(0.2):
            options["deadline_s"] = bound_s * math.exp(0.5 * dice.normal())
        if dice.chance(0.2):
            options["arrival_s"] = max(0.0, self.engine._core.now_s() - 0.3 * dice.real(0.0, bound_s))
        return Asked(route, np.array(x) if dice.chance(0.2) else x, Z, options, decided)

    def observe(self, asked: Asked) -> int:
        """What is preferred for a job that goes to a random lane, and stays there or is cancelled."""
        dice, route = self.dice, asked.route
        lane = dice.one_of(self.candidates[route.model.name])
        ticket = route.observe(self.resources[lane].name, asked.x, asked.Z, **asked.options)
        if dice.chance(0.8):
            self.open.append(ticket)
        else:
            ticket.cancel()
        preferred = ticket.preferred
        return REFUSED["no_resource"] if preferred is None else self.engine.lane(preferred.name)

    def decide(self, asked: Asked) -> int:
        ticket = asked.route.select(asked.x, asked.Z, **asked.options)
        if not ticket.admitted:
            return REFUSED[ticket.reason]
        lane = ticket.lane
        ticket.cancel()
        return lane

    # --- inside ---

    def _request(self, route: tw.Route) -> tuple[tuple[float, ...], np.ndarray | None]:
        dice = self.dice
        x = tuple(
            [
                f.typical * math.exp(0.4 * dice.normal()) if f.typical else dice.real(0.5, 2.0)
                for f in route.model.features
            ]
        )
        if not route.model.given:
            return x, None
        Z = route.buffer()
        for row in Z:
            row[:] = dice.given(len(row))
        return x, 1000.0 * Z if self.streams else 3.0 * Z

    def _mask(self, route: tw.Route) -> int | np.ndarray:
        dice, k = self.dice, len(self.resources)
        bits = dice.bits(k) | 1 << dice.one_of(self.candidates[route.model.name])
        return np.array([bool(bits >> i & 1) for i in range(k)]) if dice.chance(0.1) else bits

    def _report(self, resource: tw.Resource) -> None:
        dice = self.dice
        columns = {c.name for m in self.engine.models for c in m.columns if c.reported}
        values = {name: dice.exponential(3.0) for name in sorted(columns)}
        if dice.chance(0.3):
            values |= {"running": float(dice.whole(0, 4)), "waiting": float(dice.whole(0, 2))}
        self.engine.report(resource.name, **values)

    def _end(self, i: int) -> None:
        ticket, dice = self.open.pop(i), self.dice
        how = dice.real(0.0, 1.0)
        if how < 0.8:
            self._complete(ticket, ticket.lane)
        elif how < 0.86:
            ticket.fail()
        elif how < 0.88:
            ticket.timeout()
        else:
            ticket.cancel()

    def _complete(self, ticket: tw.Ticket, lane: int) -> None:
        dice = self.dice
        size = self.slope[lane] * sum(ticket.features[1 : 1 + len(ticket.model.features)])
        seconds = worlds.BASE_S * math.exp(
            self.speed[lane] + max(-2.0, min(size, 2.0)) + self.noise * dice.normal()
        )
        if not ticket.model.streams:
            ticket.complete(seconds if dice.chance(0.98) else None)
            return
        tokens = dice.whole(2, 200)
        ticket.first(seconds)
        ticket.complete(seconds + tokens * worlds.TPOT_S * math.exp(0.3 * dice.normal()), tokens=tokens)
