"""The rules of queues that the engine owns, each of them a switch, so that its worth can be measured."""

from __future__ import annotations

from dataclasses import dataclass

from tailwise.validate import require

__all__ = ["Rules"]


@dataclass(frozen=True, slots=True)
class Rules:
    """What `Dispatch` does beyond priority, earliest deadline and expiry by the clock.

    start_test: a job that waited is dropped at its turn when its profile has n >= 8 and the median predicted
    service exceeds the time left. spare_urgent: priority 0 is not tested: a late answer beats none.
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
        for name in ("start_test", "spare_urgent", "re_decide", "hedge"):
            value = getattr(self, name)
            require(isinstance(value, bool), "Rules", name, value, "a bool")
        bonus, budget = self.stay_bonus, self.hedge_budget
        require(_is_number(bonus) and 0 <= bonus < 1, "Rules", "stay_bonus", bonus, "a number in [0, 1)")
        require(
            _is_number(budget) and 0 <= budget <= 1, "Rules", "hedge_budget", budget, "a number in [0, 1]"
        )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
