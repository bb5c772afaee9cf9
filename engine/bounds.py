"""Static bounds: which resources a model can never run on, whatever is learned."""

from __future__ import annotations

from typing import Literal

from tailwise.errors import ConfigError
from tailwise.qos import QoS
from tailwise.types import Model, Resource

__all__ = ["excluded_by", "require_accuracy"]


def excluded_by(model: Model, resource: Resource) -> Literal["affinity", "memory"] | None:
    """The first static bound that keeps a resource from running a model; None when it may."""
    if not model.requires <= resource.labels:
        return "affinity"
    if resource.memory_bytes is not None and model.memory_bytes > resource.memory_bytes:
        return "memory"
    return None


def require_accuracy(model: Model, qos: QoS) -> None:
    """Raises ConfigError when a class asks for an accuracy that the model does not declare."""
    if model.accuracy is None and (qos.min_accuracy > 0 or qos.objective == "accuracy"):
        raise ConfigError(
            f"class {qos.name!r} (min_accuracy={qos.min_accuracy}, objective={qos.objective!r}) needs the accuracy "
            f"of model {model.name!r}, which declares none: "
            f"Model({model.name!r}, accuracy=...)"
        )
