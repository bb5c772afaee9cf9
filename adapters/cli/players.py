"""Who plays: tailwise with and without the rules of its queues, and the field's policies."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from tailwise.adapters.cli.baselines import BASELINES, baseline
from tailwise.engine import Engine
from tailwise.policy import Assignment, End, Learned, Policy

__all__ = ["NO_RULES", "OURS", "POLICIES", "RULES", "ChoosesOnly", "players"]

OURS = "tailwise"
NO_RULES = "tailwise_no_rules"
POLICIES = (OURS, *BASELINES)

#: What `--rules` can ask for: the names under which tailwise plays.
RULES: Mapping[str, tuple[str, ...]] = {"all": (OURS,), "none": (NO_RULES,), "both": (OURS, NO_RULES)}


class ChoosesOnly:
    """tailwise's choice without the rules of its queues: no start test, no second decision, no copy.

    `Dispatch` applies them to a policy that forecasts (see `Forecasting`), and this one does not say that it does.
    Expiry by the clock stays, which every policy has.
    """

    def __init__(self, engine: Engine) -> None:
        self._learned = Learned(engine)

    def assign(
        self,
        model: str,
        qos: str,
        features: tuple[float, ...],
        mask: int | None,
        deadline_s: float | None = None,
    ) -> Assignment:
        return self._learned.assign(model, qos, features, mask, deadline_s)

    def started(self, assignment: Assignment) -> None:
        self._learned.started(assignment)

    def ended(self, assignment: Assignment, end: End, service_s: float, completion_s: float) -> None:
        self._learned.ended(assignment, end, service_s, completion_s)


def players(
    engine: Engine,
    another: Callable[[], Engine],
    names: Sequence[str],
    seed: int,
    fixed: Mapping[tuple[str, str], str] | None = None,
) -> dict[str, Policy]:
    """The policies by name. Raises UnknownName.

    engine: the executor's own, which `OURS` decides with. another: makes one like it. `NO_RULES` has one to itself:
    each learns from the jobs that it sent, as it would alone. fixed: the variant that the field's policies run for a
    (family, class), since they do not choose one.
    """
    lanes = {model.name: engine.candidates(model.name) for model in engine.models}
    made: dict[str, Policy] = {}
    for name in names:
        if name == OURS:
            made[name] = Learned(engine)
        elif name == NO_RULES:
            own = another()
            for resource in own.resources:
                own.own_queue(resource.name)
            made[name] = ChoosesOnly(own)
        else:
            made[name] = baseline(name, lanes, seed, time.monotonic, fixed)
    return made
