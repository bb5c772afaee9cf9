"""What users declare of a class of service. Frozen and validated."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from tailwise._core.core import LIMITS
from tailwise.types import Model
from tailwise.validate import is_positive, require, require_name

__all__ = ["QoS", "check_fit"]

#: Raw P(on time) below which a `standard` class refuses a job: with priorities and late drop, rejecting there
#: costs nothing at moderate load and gained 2.7 points of goodput at 2.5 times capacity (simulated).
STANDARD_REJECT_BELOW = 0.3


@dataclass(frozen=True, slots=True)
class QoS:
    """One class of service.

    deadline_s: seconds from arrival to end, > 0; inf (the default) = not bounded. ttft_s, tpot_s: for models with
    signals ("ttft", "tpot"): seconds from arrival to the first token, below deadline_s, and seconds per token after
    it; tpot_s only beside ttft_s. At least deadline_s or ttft_s is needed. A tpot_s filters: the nearest is chosen of
    the resources where all bounds are likely to hold, the pace of its open jobs included; of all when there is none.
    on_time: probability in (0, 1) with which all of them together must hold.
    priority: 0 (served first) .. 7. weight: what an on-time job is worth in weighted goodput.
    min_share: in [0, 1); of a resource's starts, at least this share goes to the class while it has jobs waiting
    there (engine-owned queues): bounded starvation. What it costs the classes above is not in their forecasts.
    contract: "best_effort" refuses a job only when no time is left; "standard" also when its P(on time) is below
    0.3 where 8 results or more are known (or given: see `Profile`); "guaranteed" when no candidate's claim is at least `on_time` (about 3 points of goodput at 80% load: what
    a promise costs).
    min_accuracy: in [0, 1], of the model. max_cost: of one job, E[service] x the resource's `cost_per_s`, > 0.
    min_throughput: items a second that the resource must be believed to do, >= 0. These three are never broken: a
    job that no candidate can run within them is refused with the bound as its reason.
    objective: what is least among the candidates that end on time with probability `on_time`: "completion" time
    (of all candidates: the deadline then only admits), "cost" in money (`cost_per_s`), "energy" (`power_w`),
    "accuracy" (of the variants of a family). When none ends on time, the most likely one to.
    policy: "greedy" ranks by the mean of what is believed, which was not beaten where waits spread the load;
    "thompson" by a draw from the posterior of the mean, "ucb" by mean - kappa sd (`kappa` > 0), among those that
    end on time: a resource that has recovered at low load is found again sooner.
    explore: may jobs of the class try what is not known? They then go to a resource without a single result when
    it is idle, or to an ejected one that is due for a probe, and of the jobs that would be refused, 1 in 50 of a
    guaranteed class and of a standard one 1 a second, where nothing else is learned, are admitted as probes
    (`ticket.probe`), outside the promise. False: never; what only this class uses may then stay unknown.
    """

    name: str
    deadline_s: float = math.inf
    on_time: float = 0.95
    priority: int = 0
    weight: float = 1.0
    contract: Literal["best_effort", "standard", "guaranteed"] = "standard"
    min_share: float = 0.0
    explore: bool = True
    objective: Literal["completion", "cost", "energy", "accuracy"] = "completion"
    policy: Literal["greedy", "thompson", "ucb"] = "greedy"
    kappa: float = 1.0
    min_accuracy: float = 0.0
    max_cost: float = math.inf
    min_throughput: float = 0.0
    ttft_s: float = math.inf
    tpot_s: float = math.inf

    def __post_init__(self) -> None:
        me = f"QoS {self.name!r}"
        require_name("QoS", self.name)
        self._check_bounds(me)
        require(
            is_positive(self.on_time) and self.on_time < 1,
            me,
            "on_time",
            self.on_time,
            "a probability in (0, 1)",
        )
        require(
            isinstance(self.priority, int) and 0 <= self.priority < LIMITS["levels"],
            me,
            "priority",
            self.priority,
            f"an int in 0..{LIMITS['levels'] - 1}",
        )
        require(
            self.weight == 0 or is_positive(self.weight), me, "weight", self.weight, "a finite number >= 0"
        )
        require(
            self.min_share == 0 or (is_positive(self.min_share) and self.min_share < 1),
            me,
            "min_share",
            self.min_share,
            "a share of the starts in [0, 1)",
        )
        require(
            self.contract in ("best_effort", "standard", "guaranteed"),
            me,
            "contract",
            self.contract,
            "'best_effort', 'standard' or 'guaranteed'",
        )
        require(
            self.min_accuracy == 0 or (is_positive(self.min_accuracy) and self.min_accuracy <= 1),
            me,
            "min_accuracy",
            self.min_accuracy,
            "a number in [0, 1]",
        )
        for name, choices in (
            ("objective", ("completion", "cost", "energy", "accuracy")),
            ("policy", ("greedy", "thompson", "ucb")),
        ):
            value = getattr(self, name)
            require(value in choices, me, name, value, " or ".join(map(repr, choices)))
        require(is_positive(self.kappa), me, "kappa", self.kappa, "a finite number > 0")
        require(self.max_cost > 0, me, "max_cost", self.max_cost, "a number > 0 (inf = none)")
        require(
            self.min_throughput == 0 or is_positive(self.min_throughput),
            me,
            "min_throughput",
            self.min_throughput,
            "a finite number of items per second >= 0",
        )
        require(isinstance(self.explore, bool), me, "explore", self.explore, "True or False")

    def _check_bounds(self, me: str) -> None:
        for name in ("deadline_s", "ttft_s", "tpot_s"):
            value = getattr(self, name)
            require(
                value == math.inf or is_positive(value), me, name, value, "seconds > 0, or inf for no bound,"
            )
        require(
            min(self.deadline_s, self.ttft_s) < math.inf,
            me,
            "deadline_s",
            self.deadline_s,
            "a deadline_s or a ttft_s",
        )
        require(
            self.ttft_s == math.inf or self.ttft_s < self.deadline_s,
            me,
            "ttft_s",
            self.ttft_s,
            "a first token before deadline_s",
        )
        require(
            self.tpot_s == math.inf or self.ttft_s < math.inf, me, "tpot_s", self.tpot_s, "a ttft_s beside it"
        )

    @property
    def reject_below(self) -> float:
        """Raw P(on time) under which the class refuses a job; 0 = never."""
        return STANDARD_REJECT_BELOW if self.contract == "standard" else 0.0


def check_fit(model: Model, qos: QoS) -> None:
    """A class may bound only what the model predicts. Raises ConfigError."""
    if model.streams:
        return
    fits = f"model {model.name!r} with the one signal 'service'"
    require(
        qos.ttft_s == math.inf,
        f"QoS {qos.name!r}",
        "ttft_s",
        qos.ttft_s,
        f"no bound on a first token, for {fits},",
    )
    require(
        qos.deadline_s < math.inf,
        f"QoS {qos.name!r}",
        "deadline_s",
        qos.deadline_s,
        f"a deadline_s, for {fits},",
    )
