"""What the rules of owned queues are for: overload that still learns, a recovery that shows, what each is worth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

import tailwise as tw
from tests.world import LOADS, Load, Outcomes, Scenario, Server, World


def speed_of(name: str, value: float) -> Callable[[dict[str, Server]], None]:
    return lambda servers: setattr(servers[name], "speed", value)


def test_a_fleet_of_new_profiles_under_150_percent_load_still_learns() -> None:
    """24 resources and 12 models that nobody has seen, and half as many jobs again as they serve, from the first
    moment on. What is not known (n < 8) is neither refused nor dropped, so the first two seconds are as good as the
    rest: .85 and .84 of the offered jobs in time.

    Without that guard: .44 and .67; without probes as well, cold profiles refuse everything for ever: .21."""
    loads = tuple(
        replace(
            load,
            model=f"{load.model}{k}",
            share=load.share / 4,
            qos=replace(load.qos, name=f"{load.qos.name}{k}"),
        )
        for load in LOADS
        for k in range(4)
    )
    servers = tuple(Server(f"r{i}", 1 + i % 2, 0.6 + 0.2 * (i % 6)) for i in range(24))
    scenario = Scenario(servers=servers, loads=loads, load=1.5, duration_s=8.0, outliers=0.0)
    outcomes = World(scenario, seed=3).run()
    rows = outcomes.of()
    assert rows["on_time"][rows["arrival_s"] < 2.0].mean() > 0.75
    assert outcomes.goodput(2.0) > 0.75


def recovery(contract: str, seed: int) -> tuple[Outcomes, float]:
    """The only resource is 20 times slower for an hour: no job can be in time. Then it is what it was. About 15
    jobs a second arrive, at 30% of what it serves when well."""
    slow_s, back_s = 20.0, 3620.0
    load = Load("m", tw.QoS("q", 0.05, priority=0, contract=contract), 1.0, 0.006)  # type: ignore[arg-type]
    scenario = Scenario(
        servers=(Server("r0"),),
        loads=(load,),
        load=0.3,
        duration_s=back_s + 10.0,
        affinity=0.0,
        outliers=0.0,
        events=((slow_s, speed_of("r0", 1 / 20)), (back_s, speed_of("r0", 1.0))),
    )
    return World(scenario, seed).run(), back_s


@pytest.mark.parametrize("contract", ["standard", "best_effort"])
def test_a_resource_slow_for_an_hour_that_has_recovered_is_found_out_within_2_s(contract: str) -> None:
    """Belief says that no job can be in time, so admission refuses (standard) or the start test drops (best
    effort), and nothing would ever be learned: nearly all of the hour's jobs end so. A probe a second shows the
    recovery: the first job is on time within 2 s, and from then on at least half of them are (about 60 jobs in
    the next four seconds; of a well-known resource 95% are)."""
    outcomes, back_s = recovery(contract, seed=1)
    rows = outcomes.of()
    slow = (rows["arrival_s"] > 60.0) & (rows["arrival_s"] < back_s - 1.0)
    assert not rows["on_time"][slow].any()
    assert (rows["kind"][slow] != "completed").mean() > 0.8
    after = rows["arrival_s"] - back_s
    assert after[rows["on_time"] & (after > 0.0)][0] < 2.0
    assert rows["on_time"][(after > 2.0) & (after < 6.0)].mean() > 0.5
