"""What users declare of a class of service. Frozen and validated."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from tailwise._core.core import LIMITS
from tailwise.types import Model
from tailwise.validate import (
    hold_flag,
    hold_number,
    hold_whole,
    is_not_negative,
    is_one_of,
    is_positive,
    is_share,
    require,
    require_name,
)

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
    0.3 and 8 results or more are known, those that a given profile counts as included; "guaranteed" when no
    candidate's claim is at least `on_time` (about 3 points of goodput at 80% load: what a promise costs).
    min_accuracy: in [0, 1], of the model. max_cost: of one job, E[service] x the resource's `cost_per_s`, > 0.
    min_throughput: items a second that the resource must be believed to do, >= 0. These three are never broken: a
    job that no candidate can run within them is refused with the bound as its reason.
    objective: what is least among the candidates that end on time with probability `on_time`: "completion" time
    (of all candidates: the deadline then only admits), "cost" in money (`cost_per_s`), "energy" (`power_w`),
    "accuracy" (of the variants of a family). When none ends on time, the most likely one to. "shared", for models
    with two signals whose jobs are batched: the seconds to the first token and those that the jobs already there lose
    by this one, while its own tokens are read and since the batch is larger; the nearest when none ends on time.
    policy: "greedy" ranks by the mean of what is believed, which was not beaten where waits spread the load;
    "thompson" by a draw from the posterior of the mean, "ucb" by mean - kappa sd (`kappa` > 0), among those that
    end on time: a resource that has recovered at low load is found again sooner.
    explore: may jobs of the class try what is not known? They then go to a resource without a single result when
    it is idle, or to an ejected one that is due for a probe. Fewer than 1% go to an idle one that is believed slow
    and was silent for half a second (objective "completion", policy "greedy", no bound); 0.2 (1 - on_time) of them
    where they would be late there, none of a guaranteed class. Of the jobs that would be refused, 1 in 50 of a
    guaranteed class and of a standard one 1 a second, where nothing else is learned, are admitted. All of these are
    probes (`ticket.probe`), outside the promise. False: never, and the policy must be "greedy"; what only this
    class uses may then stay unknown.
    """

    name: str
    deadline_s: float = math.inf
    on_time: float = 0.95
    priority: int = 0
    weight: float = 1.0
    contract: Literal["best_effort", "standard", "guaranteed"] = "standard"
    min_share: float = 0.0
    explore: bool = True
    objective: Literal["completion", "cost", "energy", "accuracy", "shared"] = "completion"
    policy: Literal["greedy", "thompson", "ucb"] = "greedy"
    kappa: float = 1.0
    min_accuracy: float = 0.0
    max_cost: float = math.inf
    min_throughput: float = 0.0
    ttft_s: float = math.inf
    tpot_s: float = math.inf

    def __post_init__(self) -> None:
        require_name("QoS", self.name)
        me = f"QoS {self.name!r}"
        self._hold_bounds(me)
        for name, choices in (
            ("contract", ("best_effort", "standard", "guaranteed")),
            ("objective", ("completion", "cost", "energy", "accuracy", "shared")),
            ("policy", ("greedy", "thompson", "ucb")),
        ):
            value = getattr(self, name)
            require(is_one_of(value, choices), me, name, value, " or ".join(map(repr, choices)))
        hold_number(self, me, "on_time", lambda v: 0.0 < v < 1.0, "a probability in (0, 1)")
        hold_whole(self, me, "priority", 0, LIMITS["levels"] - 1)
        hold_number(self, me, "weight", is_not_negative, "a finite number >= 0")
        hold_number(self, me, "min_share", lambda v: 0.0 <= v < 1.0, "a share of the starts in [0, 1)")
        hold_number(self, me, "min_accuracy", is_share, "a number in [0, 1]")
        hold_number(self, me, "kappa", is_positive, "a finite number > 0")
        hold_number(self, me, "max_cost", lambda v: v > 0.0, "a number > 0 (inf = none)")
        expected = "a finite number of items per second >= 0"
        hold_number(self, me, "min_throughput", is_not_negative, expected)
        hold_flag(self, me, "explore")
        expected = "'greedy' where explore=False: a drawn or optimistic choice explores,"
        require(self.explore or self.policy == "greedy", me, "policy", self.policy, expected)

    def _hold_bounds(self, me: str) -> None:
        for name in ("deadline_s", "ttft_s", "tpot_s"):
            hold_number(self, me, name, lambda v: v > 0.0, "seconds > 0, or inf for no bound,")
        deadline_s, ttft_s, tpot_s = self.deadline_s, self.ttft_s, self.tpot_s
        bounded = min(deadline_s, ttft_s) < math.inf
        require(bounded, me, "deadline_s", deadline_s, "a deadline_s or a ttft_s")
        first = ttft_s == math.inf or ttft_s < deadline_s
        require(first, me, "ttft_s", ttft_s, "a first token before deadline_s")
        require(tpot_s == math.inf or ttft_s < math.inf, me, "tpot_s", tpot_s, "a ttft_s beside it")

    @property
    def reject_below(self) -> float:
        """Raw P(on time) under which the class refuses a job; 0 = never."""
        return STANDARD_REJECT_BELOW if self.contract == "standard" else 0.0


def check_fit(model: Model, qos: QoS) -> None:
    """A class may bound only what the model predicts. Raises ConfigError."""
    if model.streams:
        return
    me, fits = f"QoS {qos.name!r}", f"for model {model.name!r} with the one signal 'service',"
    require(qos.objective != "shared", me, "objective", qos.objective, f"another objective, {fits}")
    require(qos.ttft_s == math.inf, me, "ttft_s", qos.ttft_s, f"no bound on a first token, {fits}")
    require(qos.deadline_s < math.inf, me, "deadline_s", qos.deadline_s, f"a deadline_s, {fits}")
