"""What is believed of a model by one of its features, and how the features of its jobs have been spread."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tailwise.engine import Engine
from tailwise.errors import InputError, UnknownName
from tailwise.numbered import feature_index, features_of
from tailwise.statistics import Statistics
from tailwise.types import Feature, Model

__all__ = ["Spread", "curves", "model_of", "spreads", "typical"]

#: A curve is drawn two standard deviations to both sides of what was seen, and at least over a factor of four.
_LEAST_SD = 0.35
#: Before anything was seen, a factor of four to both sides.
_UNSEEN_SD = 0.7
#: Where the core holds encoded features: a curve asks for nothing beyond.
_MOST = 15.9


@dataclass(frozen=True, slots=True)
class Spread:
    """How one encoded feature was spread over the jobs behind a model's beliefs. n: how many, faded by age."""

    n: float
    mean: float
    sd: float


def spreads(model: Model, statistics: Iterable[Statistics]) -> dict[str, Spread]:
    """By the feature's name; empty while there are no results. statistics: of an engine, other models' among them."""
    packed = [one.sums[0] for one in statistics if one.model == model.name and one.n > 0.0]
    if not packed:
        return {}
    total = np.sum(packed, axis=0)
    n, found = float(total[0]), {}
    for name, i in feature_index(model).items():
        row = i * (i + 1) // 2  # of the packed lower triangle of sum w x x', x_0 = 1
        mean = float(total[row]) / n
        found[name] = Spread(n, mean, math.sqrt(max(float(total[row + i]) / n - mean * mean, 0.0)))
    return found


def typical(model: Model) -> tuple[float, ...]:
    """A request with every feature at its usual value."""
    return tuple(f.typical or 0.0 for f in features_of(model))


def model_of(engine: Engine, name: str | None) -> Model:
    """None: the first. Raises UnknownName."""
    if name is None:
        return engine.models[0]
    for model in engine.models:
        if model.name == name:
            return model
    raise UnknownName(f"no model {name!r}; there are {', '.join(m.name for m in engine.models)}")


def curves(
    engine: Engine,
    model: str | None = None,
    feature: str | None = None,
    signal: str | None = None,
    *,
    points: int = 13,
    most: int = 16,
) -> dict[str, Any]:
    """Median and 90% quantile of service over a grid of one feature, the others at their usual values.

    model, feature, signal: None = the first. most: resources, those with most results. Returns {"model", "signal",
    "feature" (None: the model has none, and the grid one point), "grid", "resources": [{"name", "source", "n",
    "median_s", "p90_s"}] by lane, "left_out": how many more there are}. Raises UnknownName, InputError.
    Cost: some 0.1 ms a point and resource.
    """
    declared = model_of(engine, model)
    if points < 2 or most < 1:
        raise InputError(f"curves: points={points!r}, most={most!r}: points >= 2 and most >= 1 are expected")
    which = _feature(declared, feature)
    signal = declared.signals[0] if signal is None else signal
    rows = _grid(engine, declared, which, points)
    by_lane = engine.by_lane
    names = [r.name for lane in engine.candidates(declared.name) if (r := by_lane[lane]) is not None]
    seen = {one.resource: one.n for one in engine.statistics() if one.model == declared.name}
    known = sorted(names, key=lambda name: -seen.get(name, 0.0))[:most]
    drawn = []
    for name in (name for name in names if name in known):
        try:
            at = [engine.profile(name, declared.name, row, signal=signal) for row in rows]
        except (UnknownName, InputError):
            if name in {r.name for r in engine.resources}:
                raise  # of the signal
            continue  # removed meanwhile
        drawn.append(
            {
                "name": name,
                "source": at[0].source,
                "n": at[0].n,
                "median_s": [p.median_s for p in at],
                "p90_s": [p.quantile(0.9) for p in at],
            }
        )
    return {
        "model": declared.name,
        "signal": signal,
        "feature": None if which is None else features_of(declared)[which].name,
        "grid": [] if which is None else [row[which] for row in rows],
        "resources": drawn,
        "left_out": len(names) - len(known),
    }


def _feature(model: Model, name: str | None) -> int | None:
    names = [f.name for f in features_of(model)]
    if name is None:
        return 0 if names else None
    if name not in names:
        raise UnknownName(
            f"model {model.name!r} has no feature {name!r}; it has {', '.join(names) or 'none'}"
        )
    return names.index(name)


def _grid(engine: Engine, model: Model, which: int | None, points: int) -> list[tuple[float, ...]]:
    """Requests that differ in one feature, evenly spaced as it is encoded."""
    usual = typical(model)
    if which is None:
        return [usual]
    feature = features_of(model)[which]
    seen = spreads(model, engine.statistics()).get(feature.name)
    mean, sd = (seen.mean, max(seen.sd, _LEAST_SD)) if seen else (_centre(feature), _UNSEEN_SD)
    least = -_MOST if feature.typical else 0.0
    low, high = max(mean - 2.0 * sd, least), min(mean + 2.0 * sd, _MOST)
    low = min(low, high - _LEAST_SD)  # what is seen may lie wholly beyond
    steps = [low + (high - low) * k / (points - 1) for k in range(points)]
    return [(*usual[:which], _raw(feature, max(z, least)), *usual[which + 1 :]) for z in steps]


def _centre(feature: Feature) -> float:
    return 0.0 if feature.typical else math.log1p(100.0)


def _raw(feature: Feature, z: float) -> float:
    """The number that is encoded as z."""
    return feature.typical * math.exp(z) if feature.typical else math.expm1(z)
