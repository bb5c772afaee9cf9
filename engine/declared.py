"""What an engine was built from: declarations by name, and the index that each has in the core's arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from tailwise.errors import ConfigError, UnknownName
from tailwise.qos import QoS
from tailwise.types import Model, Resource
from tailwise.validate import as_items, is_one_of, unique_names

__all__ = ["Declared"]

_Item = TypeVar("_Item", Resource, Model, QoS)


class Declared:
    """Names resolved: a declared resource's index is its first lane.

    Raises ConfigError on a name given twice or none at all.
    """

    def __init__(
        self, resources: Sequence[Resource], models: Sequence[Model], classes: Sequence[QoS]
    ) -> None:
        expected = "a sequence of {} objects"
        self.resources = as_items("Engine", "resources", resources, Resource, expected.format("Resource"))
        self.models = as_items("Engine", "models", models, Model, expected.format("Model"))
        promises = as_items("Engine", "qos", classes, QoS, expected.format("QoS"))
        self.qos = tuple(sorted(promises, key=lambda q: q.priority))
        for kind, items in (("resources", self.resources), ("models", self.models), ("qos", self.qos)):
            if not items:
                raise ConfigError(f"Engine: {kind} is empty, at least one is expected")
        shares = sum(q.min_share for q in self.qos)
        if shares > 1.0:
            raise ConfigError(
                f"Engine: min_share of all classes adds up to {shares:g}, at most 1 is expected"
            )
        self._lanes = unique_names("Engine", "resources", self.resources)
        self._models = unique_names("Engine", "models", self.models)
        self._qos = unique_names("Engine", "qos", self.qos)

    def model_index(self, name: str) -> int:
        """Raises UnknownName."""
        return _find(name, self._models, "model")

    def model(self, name: str) -> Model:
        """Raises UnknownName."""
        return self.models[self.model_index(name)]

    def variants(self, family: str) -> tuple[Model, ...]:
        """The models of a family. Raises UnknownName, ConfigError where they take different inputs."""
        members = tuple(model for model in self.models if model.variant_of == family)
        if not members:
            families = sorted({model.variant_of for model in self.models if model.variant_of})
            raise UnknownName(f"no model is a variant_of {family!r}; there are {families or 'none'}")
        first = members[0]
        for model in members[1:]:
            if (model.features, model.given, model.signals) != (first.features, first.given, first.signals):
                raise ConfigError(
                    f"variants {first.name!r} and {model.name!r} of {family!r} take different features, given "
                    "columns or signals: one request must suit them all"
                )
        return members

    def qos_class(self, name: str) -> QoS:
        """Raises UnknownName."""
        return self.qos[self.qos_index(name)]

    def qos_index(self, name: str) -> int:
        """Raises UnknownName."""
        return _find(name, self._qos, "QoS class")

    def candidates(self, model: Model) -> tuple[int, ...]:
        """Lanes of declared resources that can run a model. Raises UnknownName, ConfigError when there is none."""
        if model.resources is None:
            return tuple(range(len(self.resources)))
        if not model.resources:
            raise ConfigError(f"Model {model.name!r}: resources is empty, at least one is expected")
        return tuple(_find(name, self._lanes, "resource") for name in model.resources)

    def allows(self, model: Model, resource: str) -> bool:
        """Whether a resource of this name can run a model, as the model is declared."""
        return model.resources is None or resource in model.resources


def _find(name: str, index: dict[str, int], kind: str) -> int:
    if not is_one_of(name, index):
        raise UnknownName(f"no {kind} {name!r}; there are {', '.join(map(repr, index))}")
    return index[name]
