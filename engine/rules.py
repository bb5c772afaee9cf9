"""The rules of queues that the engine owns, each of them a switch, so that its worth can be measured.

Measured in tests/world.py (six resources, a slow-down, a fast failure and a hang in turn, eight held-out seeds), in
points of goodput at .8 / .95 / 1.2 of the capacity, against expiry by the clock alone (94.1 / 90.2 / 82.7):

| rules | goodput | interactive missed, % | interactive p99.9, ms |
|---|---|---|---|
| none | | 3.2 / 2.4 / 2.3 | 350 / 366 / 379 |
| start test | +0.9 / +1.2 / +2.4 | 3.2 / 2.6 / 2.2 | 349 / 376 / 366 |
| re-decide | +0.1 / +0.4 / +0.7 | 3.3 / 2.2 / 1.8 | 354 / 363 / 358 |
| hedge | -0.4 / -0.2 / +0.1 | 3.4 / 2.4 / 1.9 | 204 / 147 / 129 |
| all but the hedge | +1.5 / +2.1 / +3.1 | 3.2 / 1.9 / 1.5 | 350 / 347 / 374 |
| all | +1.2 / +1.6 / +2.9 | 2.9 / 2.1 / 1.6 | 239 / 233 / 282 |
| all, priority 0 spared the start test | +1.3 / +1.4 / +3.2 | 2.8 / 2.0 / 1.5 | 190 / 189 / 144 |

The standard error of a difference is .2 to .7 points: the hedge buys the tail, not goodput. A job moves .1 times,
.4% of the jobs get a copy. A bonus for staying between 0 and .2 makes no difference that eight seeds show; looking
for another resource before the start test drops a job gained nothing. Before decisions doubted lanes whose running
jobs are overdue, re-decisions were worth +1.5 / +0.7 / +1.3 and the four together +2.4 / +1.7 / +3.8.
"""

from __future__ import annotations

from dataclasses import dataclass

from tailwise.validate import hold_flag, hold_number, is_share

__all__ = ["Rules"]


@dataclass(frozen=True, slots=True)
class Rules:
    """What `Dispatch` does beyond priority, earliest deadline and expiry by the clock.

    start_test: a job that waited is dropped at its turn when its profile has n >= 8 and the median predicted
    service exceeds the time left. spare_urgent: priority 0 is not tested, where a late answer beats none (its
    copies start late too then, and shorten the tail).
    re_decide: a job still queued when it was predicted to start is scored again over all candidates, and so is
    the whole queue of a resource on its alarm or when its breaker opens. stay_bonus: the share in [0, 1) by which
    another resource must be better. hedge: a priority 0 job that outlives exp(m + 2 s) of its service forecast
    may get one copy on the best other resource. hedge_budget: copies per decision in [0, 1].
    """

    start_test: bool = True
    spare_urgent: bool = False
    re_decide: bool = True
    stay_bonus: float = 0.1
    hedge: bool = True
    hedge_budget: float = 0.02

    def __post_init__(self) -> None:
        hold_flag(self, "Rules", "start_test", "spare_urgent", "re_decide", "hedge")
        hold_number(self, "Rules", "stay_bonus", lambda v: 0.0 <= v < 1.0, "a number in [0, 1)")
        hold_number(self, "Rules", "hedge_budget", is_share, "a number in [0, 1]")
