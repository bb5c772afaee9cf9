"""The engine: names resolved to lanes, declarations validated; everything else is in the compiled core."""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterable, Mapping, Sequence
from statistics import NormalDist
from typing import TypeVar, cast

import numpy as np

from tailwise._core.core import Core
from tailwise.clock import Clock, MonotonicClock
from tailwise.errors import ConfigError, InputError, UnknownName
from tailwise.route import Route
from tailwise.summary import ProfileSummary, summarise
from tailwise.types import Column, Feature, Model, Profile, QoS, Resource, unique_names

__all__ = ["Engine"]

#: Column.tracked / reported / neither, as the core numbers them (layout.pxd, ColumnKind).
_TRACKED = {"running": 1, "waiting": 2, "in_flight": 3}
_GIVEN, _REPORTED = 0, 4

_Declared = TypeVar("_Declared", Resource, Model, QoS)


class Engine:
    """Learns every (resource, model) and picks resources for jobs.

    resources, models, qos: what exists; names unique within each. profiles: measured elsewhere, as priors.
    clock: anything with `now_ns()`; default the monotonic clock. seed: of the generator that breaks ties;
    None draws one. tau_s: time constant of forgetting, > 0 (inf = never forget); the clock alone never takes a
    profile below 8 effective observations. max_tickets: how many may be open at once.
    Raises ConfigError, UnknownName.
    """

    def __init__(
        self,
        resources: Sequence[Resource],
        models: Sequence[Model],
        qos: Sequence[QoS],
        *,
        profiles: Iterable[Profile] = (),
        clock: Clock | None = None,
        seed: int | None = None,
        tau_s: float = 300.0,
        max_tickets: int = 4096,
    ) -> None:
        self.resources = tuple(resources)
        self.models = tuple(models)
        self.qos = tuple(sorted(qos, key=lambda q: q.priority))
        for kind, items in (("resources", self.resources), ("models", self.models), ("qos", self.qos)):
            if not items:
                raise ConfigError(f"Engine: {kind} is empty, at least one is expected")
        self._lanes = unique_names("Engine", "resources", self.resources)
        self._models = unique_names("Engine", "models", self.models)
        self._qos = unique_names("Engine", "qos", self.qos)
        if not tau_s > 0:
            raise ConfigError(f"Engine: tau_s={tau_s!r}, but seconds > 0 are expected (inf = never forget)")
        if not 1 <= max_tickets <= 1 << 20:
            raise ConfigError(f"Engine: max_tickets={max_tickets!r}, but 1..{1 << 20} is expected")
        self.clock: Clock = MonotonicClock() if clock is None else clock
        self._core = Core(
            max_resources=len(self.resources),
            max_models=len(self.models),
            max_tickets=max_tickets,
            seed=secrets.randbits(64) if seed is None else seed & (1 << 64) - 1,
            tau_s=tau_s,
            clock=self.clock,
        )
        for resource in self.resources:
            self._core.add_resource(resource, resource.slots, resource.discipline == "fifo")
        for model in self.models:
            self._add_model(model)
        self._report_targets = _report_targets(self.models)
        self._reported_at: dict[int, float] = {}
        self._given: set[tuple[str, str]] = set()
        for profile in profiles:
            self._give(profile)

    def route(self, model: str, qos: str) -> Route:
        """Resolves names once; keep the route, it is what the hot path runs on. Raises UnknownName."""
        return Route(
            self._core,
            self._find(model, self._models, self.models, "model"),
            self._find(qos, self._qos, self.qos, "QoS class"),
            self._models[model],
            NormalDist().inv_cdf(self.qos[self._qos[qos]].on_time),
        )

    def classify(self, deadline_s: float, on_time: float) -> QoS:
        """The class whose promise covers a bare requirement: the least urgent one that is at least as strict.

        deadline_s: seconds > 0. on_time: probability in (0, 1). Raises InputError when no class is that strict.
        """
        if not (math.isfinite(deadline_s) and deadline_s > 0 and 0 < on_time < 1):
            raise InputError(
                f"deadline_s={deadline_s!r}, on_time={on_time!r}: seconds > 0 and a probability in (0, 1)"
            )
        covering = [q for q in self.qos if q.deadline_s <= deadline_s and q.on_time >= on_time]
        if not covering:
            raise InputError(
                f"no class promises {on_time} within {deadline_s} s; there are "
                + ", ".join(f"{q.name} ({q.on_time} within {q.deadline_s} s)" for q in self.qos)
            )
        return max(covering, key=lambda q: (q.priority, q.deadline_s, -q.on_time))

    def report(self, resource: str, *, at: float | None = None, **values: float) -> None:
        """What a resource says of itself now, for the models' reported columns; absent stays as it was.

        values: by column name, >= 0, NaN = became unknown. at: when it was measured, seconds of the engine's
        clock; a report older than the last one of this resource is ignored. Raises UnknownName, InputError.
        """
        lane = self.lane(resource)
        targets = self._report_targets
        for name, value in values.items():
            if name not in targets:
                raise UnknownName(
                    f"no model has a reported column {name!r}; there are {sorted(targets) or 'none'}"
                )
            if not (isinstance(value, int | float) and (math.isnan(value) or 0 <= value < math.inf)):
                raise InputError(
                    f"report of {resource!r}: {name}={value!r}, but a number >= 0 or NaN is expected"
                )
        if at is not None:
            if not math.isfinite(at):
                raise InputError(f"report of {resource!r}: at={at!r}, but finite seconds are expected")
            if at < self._reported_at.get(lane, -math.inf):
                return
            self._reported_at[lane] = at
        for name, value in values.items():
            for model, column in targets[name]:
                self._core.store(model, column, lane, value)

    def profile(self, resource: str, model: str, features: Sequence[float] | None = None) -> ProfileSummary:
        """What is believed of one (resource, model) at raw `features` (None: at their typical values, idle).

        Raises UnknownName, InputError.
        """
        lane = self.lane(resource)
        declared = self._find(model, self._models, self.models, "model")
        index = self._models[model]
        x = np.zeros(declared.d)
        x[0] = 1.0
        if features is not None:
            if len(features) != len(declared.features):
                raise InputError(
                    f"features={features!r}, but model {model!r} declares {len(declared.features)}"
                )
            encoded = self._core.encode(index, features)
            x[: len(encoded)] = encoded
        given = (resource, model) in self._given
        return summarise(resource, model, x, self._core.posterior(index, lane), given)

    def load(self, resource: str) -> tuple[int, int]:
        """(jobs in service, jobs queued) that open tickets put on a resource. Raises UnknownName."""
        running, queued = self._core.load(self.lane(resource))
        return running, queued

    def own_queue(self, resource: str) -> None:
        """Tells that the caller queues for this resource from now on: by priority, with `ticket.start()`."""
        self._core.own_queue(self.lane(resource))

    @property
    def in_flight(self) -> int:
        """Open tickets."""
        return int(self._core.counters["n_open"])

    @property
    def counters(self) -> Mapping[str, int]:
        """n_open tickets now; n_abandoned tickets and n_clipped encoded values ever."""
        return self._core.counters

    def lane(self, resource: str) -> int:
        """The index of a resource in masks and in the columns of Z. Raises UnknownName."""
        self._find(resource, self._lanes, self.resources, "resource")
        return self._lanes[resource]

    def candidates(self, model: str) -> tuple[int, ...]:
        """Lanes of the resources that can run a model. Raises UnknownName."""
        names = self._find(model, self._models, self.models, "model").resources
        return (
            tuple(range(len(self.resources))) if names is None else tuple(self._lanes[name] for name in names)
        )

    @staticmethod
    def _find(name: str, index: dict[str, int], items: tuple[_Declared, ...], kind: str) -> _Declared:
        if name not in index:
            raise UnknownName(f"no {kind} {name!r}; there are {', '.join(map(repr, index))}")
        return items[index[name]]

    def _add_model(self, model: Model) -> None:
        allowed = self._lanes if model.resources is None else model.resources
        for name in allowed:
            self._find(name, self._lanes, self.resources, "resource")
        if not allowed:
            raise ConfigError(f"Model {model.name!r}: resources is empty, at least one is expected")
        features = cast(tuple[Feature, ...], model.features)  # Model made Features of plain names
        self._core.add_model(
            [f.typical or 0.0 for f in features],
            [f.knee for f in features],
            [_kind(c) for c in model.columns],
            [c.scale for c in model.columns],
            [r.offset_s if r.name in allowed else math.inf for r in self.resources],
        )

    def _give(self, profile: Profile) -> None:
        lane = self.lane(profile.resource)
        self._find(profile.model, self._models, self.models, "model")
        self._core.give(self._models[profile.model], lane, profile.ln_median, profile.spread, profile.weight)
        self._given.add((profile.resource, profile.model))


def _report_targets(models: Sequence[Model]) -> dict[str, list[tuple[int, int]]]:
    """(model, column) indices by the name of a reported column."""
    targets: dict[str, list[tuple[int, int]]] = {}
    for m, model in enumerate(models):
        for c, column in enumerate(model.columns):
            if column.reported:
                targets.setdefault(column.name, []).append((m, c))
    return targets


def _kind(column: Column) -> int:
    if column.tracked is not None:
        return _TRACKED[column.tracked]
    return _REPORTED if column.reported else _GIVEN
