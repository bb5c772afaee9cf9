"""Declarations as the core numbers them."""

from __future__ import annotations

from typing import cast

from tailwise.column import Column
from tailwise.errors import ConfigError
from tailwise.given import Profile
from tailwise.types import Feature, Model, Resource

__all__ = ["capacity_of", "columns_of", "feature_index", "features_of", "items_of", "prompt_of", "slopes_of"]

#: Column.tracked (layout.pxd, ColumnKind).
_TRACKED = {"running": 1, "waiting": 2, "in_flight": 3, "prefill_tokens": 5, "kv_tokens": 6}
_GIVEN, _REPORTED = 0, 4


def features_of(model: Model) -> tuple[Feature, ...]:
    """A model's features; Model made Features of plain names."""
    return cast(tuple[Feature, ...], model.features)


def feature_index(model: Model) -> dict[str, int]:
    """Where each feature stands in x, by name."""
    index, at = {}, 1
    for feature in features_of(model):
        index[feature.name] = at
        at += 1 + feature.knee
    return index


def slopes_of(model: Model, profile: Profile) -> dict[int, float]:
    """A given profile's slopes by index in x. Raises ConfigError on a feature that the model does not declare."""
    index = feature_index(model)
    for name in profile.slopes:
        if name not in index:
            raise ConfigError(
                f"Profile ({profile.resource!r}, {profile.model!r}): slopes names {name!r}, but the model's "
                f"features are {', '.join(map(repr, index)) or 'none'}"
            )
    return {index[name]: slope for name, slope in profile.slopes.items()}


def columns_of(model: Model) -> list[tuple[int, float, int, bool, int]]:
    """Per column: kind, scale, row of Z or -1, has a square, index in x of the feature that it is multiplied with."""
    index = feature_index(model)
    row = {name: i for i, name in enumerate(model.given)}
    return [
        (_kind(c), c.scale, row[c.given] if c.given else -1, c.square, index[c.times] if c.times else 0)
        for c in model.columns
    ]


def capacity_of(resource: Resource) -> tuple[int, bool, bool, float]:
    """Slots or max_running, whether starts are inferred, whether the capacity is soft, tokens of cache or 0."""
    if resource.max_running is None:
        return resource.slots, resource.discipline == "fifo", False, 0.0
    return resource.max_running, True, True, resource.kv_tokens or 0.0


def items_of(model: Model) -> int:
    """Which feature counts the items of a job, from 1; 0 = one a job."""
    names = [f.name for f in features_of(model)]
    return 1 + names.index(model.items) if model.items is not None else 0


def prompt_of(model: Model) -> int:
    """Which feature is the number of the prompt's tokens, from 1; 0 = none."""
    names = [f.name for f in features_of(model)]
    return 1 + names.index(model.prompt) if model.prompt is not None else 0


def _kind(column: Column) -> int:
    if column.tracked is not None:
        return _TRACKED[column.tracked]
    return _REPORTED if column.reported else _GIVEN
