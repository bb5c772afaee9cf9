"""What the executor cannot serve, said before the first job."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tailwise.errors import ConfigError
from tailwise.qos import QoS
from tailwise.types import Model

__all__ = ["refuse_streams", "same_names"]


def refuse_streams(models: Sequence[Model], classes: Sequence[QoS]) -> None:
    """The executor hands back whole results by a deadline. Raises ConfigError on what that cannot serve."""
    for model in models:
        if model.streams or model.given:
            what = (
                "answers token by token" if model.streams else f"needs {', '.join(model.given)} with each job"
            )
            raise ConfigError(
                f"Executor: model {model.name!r} {what}; use route.select and the ticket for it"
            )
    for qos in classes:
        if math.isinf(qos.deadline_s):
            raise ConfigError(
                f"Executor: class {qos.name!r} has no deadline_s, but jobs are queued by it; give it one"
            )


def same_names(what: str, given: Mapping[str, object], expected: list[str]) -> None:
    """Raises ConfigError unless every declared name is given, and no other."""
    if set(given) != set(expected):
        raise ConfigError(f"Executor: {what} for {sorted(given)}, but the engine declares {sorted(expected)}")
