"""Engines with a resource that can be made to fail, for tests of its breaker."""

from __future__ import annotations

import tailwise as tw

HEALTH = tw.Health(consecutive_failures=3, backoff_s=1.0, max_backoff_s=8.0)
PATIENT = tw.QoS("patient", 10.0, 0.9)
HASTY = tw.QoS("hasty", 0.2, 0.9, priority=1, contract="best_effort")
FIRM = tw.QoS("firm", 10.0, 0.9, priority=2, explore=False)


def engine(k: int = 4, health: tw.Health | None = HEALTH, seed: int = 1) -> tuple[tw.Engine, tw.ManualClock]:
    """k resources that serve in 0.1 s, r0 believed ten times slower: nobody goes there of his own accord, and r1 a
    third faster."""
    clock = tw.ManualClock()
    seconds = [1.0, 0.07] + [0.1] * k
    profiles = [tw.Profile(f"r{i}", "m", seconds[i], weight=100.0) for i in range(k)]
    resources = [tw.Resource(f"r{i}", slots=64) for i in range(k)]
    e = tw.Engine(
        resources,
        [tw.Model("m")],
        [PATIENT, HASTY, FIRM],
        profiles=profiles,
        clock=clock,
        seed=seed,
        health=health,
    )
    return e, clock


def fail(e: tw.Engine, lane: int, n: int = 1, **how: float) -> None:
    for ticket in [e.route("m", "patient").select((), mask=1 << lane) for _ in range(n)]:
        ticket.fail(**how)


def state(e: tw.Engine, name: str = "r0") -> str:
    return e.health(name).state


def pick(e: tw.Engine, qos: str = "patient") -> tw.Ticket:
    return e.route("m", qos).select(())


def wait_out(e: tw.Engine, clock: tw.ManualClock, name: str = "r0") -> None:
    until_s = e.health(name).until_s
    assert until_s is not None
    clock.set(until_s)
