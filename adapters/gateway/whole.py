"""Answers in one piece, of models whose answers can come token by token.

Nothing tells when their first token was there, so they would teach neither signal, and where clients do not stream
nothing would ever be learned. They are a model of their own with one signal, the whole time; a class that bounds
first token and pace has a companion for them, whose deadline is what both allow a usual answer.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

from tailwise.adapters.slo import Slo
from tailwise.qos import QoS
from tailwise.types import Model

__all__ = ["Whole", "whole_class", "whole_model"]

SUFFIX = " (whole)"
#: Seconds, where a class bounds nothing but the first token: a day, which no answer takes.
UNBOUNDED_S = 86_400.0


def whole_model(model: Model) -> Model:
    return dataclasses.replace(model, name=model.name + SUFFIX, signals=("service",))


def whole_class(qos: QoS, tokens: float) -> QoS | None:
    """tokens: of a usual answer. None: the class itself bounds the end alone, and holds of both."""
    if not _needs_companion(qos):
        return None
    deadline_s = min(qos.deadline_s, qos.ttft_s + tokens * qos.tpot_s, UNBOUNDED_S)
    objective = "completion" if qos.objective == "shared" else qos.objective
    return dataclasses.replace(
        qos,
        name=qos.name + SUFFIX,
        deadline_s=deadline_s,
        ttft_s=math.inf,
        tpot_s=math.inf,
        objective=objective,
    )


def _needs_companion(qos: QoS) -> bool:
    """Bounds of a stream, and the objective of those that share a replica, mean nothing where there is one signal."""
    return qos.ttft_s < math.inf or qos.objective == "shared"


class Whole:
    """What stands for a model's answers in one piece. tokens: of a usual one."""

    def __init__(self, model: Model, classes: Sequence[QoS], tokens: float) -> None:
        self.model = whole_model(model).name
        self._tokens = tokens
        self._split: Mapping[str, QoS] = {q.name: q for q in classes if _needs_companion(q)}

    def slo(self, slo: Slo) -> Slo:
        """What was asked for, as it holds of an answer in one piece."""
        qos = self._split.get(slo.qos)
        if qos is None:
            return slo
        budget_s = slo.deadline_s
        if slo.ttft_s is not None or slo.tpot_s is not None:
            ttft_s = qos.ttft_s if slo.ttft_s is None else slo.ttft_s
            tpot_s = qos.tpot_s if slo.tpot_s is None else slo.tpot_s
            both_s = ttft_s + self._tokens * tpot_s
            if both_s < math.inf:
                budget_s = both_s if budget_s is None else min(both_s, budget_s)
        return dataclasses.replace(slo, qos=slo.qos + SUFFIX, budget_s=budget_s, tpot_s=None)
