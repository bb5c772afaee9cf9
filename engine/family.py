"""A family: one network in several variants (fp32, int8 ..), of which each job gets the best for its class."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailwise._core.core import Ticket
from tailwise.errors import UnknownName
from tailwise.explanation import Explanation
from tailwise.qos import QoS
from tailwise.route import Route

__all__ = ["Family", "best_variant"]


class Family:
    """The variants of one network under one QoS class; made by `engine.family(name, qos)`.

    `select` looks at every variant on every resource, then decides on the best variant's own route; `ticket.model`
    says which one it is.
    """

    def __init__(self, name: str, qos: QoS, variants: Sequence[Route]) -> None:
        self.name = name
        self.qos = qos
        self.variants = tuple(variants)

    def buffer(self) -> NDArray[np.float64]:
        """As `Route.buffer`: the variants have the same given columns."""
        return self.variants[0].buffer()

    def select(
        self, x: tuple[float, ...] | NDArray[np.float64], Z: NDArray[np.float64] | None = None, **options: Any
    ) -> Ticket:
        """Chooses a variant and a resource for one job and counts the job on it at once.

        Parameters, result and errors as in `Route.select`. Cost: about a select a variant, and one more.
        """
        bounds = ("mask", "deadline_s", "arrival_s", "tpot_s")
        seen = {name: value for name, value in options.items() if name in bounds}
        outlooks = [route._outlook(x, Z, **seen) for route in self.variants]
        accuracies = [route.model.accuracy for route in self.variants]
        return self.variants[best_variant(self.qos, accuracies, outlooks)].select(x, Z, **options)

    def observe(
        self,
        model: str,
        resource: str,
        x: tuple[float, ...] | NDArray[np.float64],
        Z: NDArray[np.float64] | None = None,
        **options: Any,
    ) -> Ticket:
        """Somebody else sent a job to `resource`, to be run by the variant `model`: see `Route.observe`.

        `ticket.preferred` is what we would have chosen for this variant. Raises UnknownName (no such variant, too).
        """
        for route in self.variants:
            if route.model.name == model:
                return route.observe(resource, x, Z, **options)
        names = ", ".join(repr(route.model.name) for route in self.variants)
        raise UnknownName(f"no variant {model!r} of {self.name!r}; there are {names}")

    def peek(
        self, x: tuple[float, ...] | NDArray[np.float64], Z: NDArray[np.float64] | None = None, **options: Any
    ) -> dict[str, Explanation]:
        """Each variant's candidates, by the variant's name; nothing is claimed, nothing changes."""
        return {route.model.name: route.peek(x, Z, **options) for route in self.variants}


def best_variant(qos: QoS, accuracies: Sequence[float | None], outlooks: Sequence[Mapping[str, Any]]) -> int:
    """The index of the variant to run, from what `Route._outlook` says of each.

    Where the class filters (another objective than completion, or guaranteed) those that end on time come first, by
    the objective, then the likeliest; else the least completion time. A variant without a single result is tried
    first where the class may explore: nothing else would tell how fast it is. When bounds leave no variant, the one
    that broke the last of them. Equal ones: in the order of declaration.
    """
    filters = qos.objective != "completion" or qos.contract == "guaranteed"

    def key(i: int) -> tuple[float, ...]:
        seen = outlooks[i]
        if seen["bound"] or seen["rank_s"] == math.inf:
            return (3.0, -seen["bound"])
        if seen["untried"] and qos.explore and qos.contract != "guaranteed":
            return (0.0,)
        if filters and not seen["feasible"]:
            return (2.0, -seen["p_on_time"], seen["rank_s"])  # of hopeless ones P may be alike
        if qos.objective == "accuracy":
            return (1.0, -(accuracies[i] or 0.0), seen["rank_s"])
        return (1.0, seen["score"], seen["rank_s"])

    return min(range(len(outlooks)), key=key)
