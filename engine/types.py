"""What users declare: resources, models, features, columns, QoS classes, given profiles. Frozen and validated."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, Protocol

from tailwise._core.core import LIMITS
from tailwise.errors import ConfigError

__all__ = ["Column", "Feature", "Model", "Profile", "QoS", "Resource"]

#: Raw P(on time) below which a `standard` class refuses a job: with priorities and late drop, rejecting there
#: costs nothing at moderate load and gained 2.7 points of goodput at 2.5 times capacity (simulated).
STANDARD_REJECT_BELOW = 0.3


def _require(ok: bool, owner: str, name: str, value: object, expected: str) -> None:
    if not ok:
        raise ConfigError(f"{owner}: {name}={value!r}, but {expected} is expected")


def _require_name(owner: str, name: str) -> None:
    _require(isinstance(name, str) and bool(name), owner, "name", name, "a non-empty string")


def _is_positive(value: float) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and value > 0


class _Named(Protocol):
    @property
    def name(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Resource:
    """What serves jobs: a device, replica or backend.

    name: unique. slots: jobs that it serves at once, 1..256. cost_per_s: >= 0, any currency.
    offset_s: seconds added to its rank (region, transfer), >= 0.
    discipline: "fifo" (the resource queues by itself; starts are inferred) or "priority" (the caller owns the
    queue, serves classes by priority and calls `ticket.start()`).
    """

    name: str
    slots: int = 1
    cost_per_s: float = 0.0
    offset_s: float = 0.0
    discipline: Literal["fifo", "priority"] = "fifo"

    def __post_init__(self) -> None:
        me = f"Resource {self.name!r}"
        _require_name("Resource", self.name)
        _require(
            isinstance(self.slots, int) and 1 <= self.slots <= 256,
            me,
            "slots",
            self.slots,
            "an int in 1..256",
        )
        for name in ("cost_per_s", "offset_s"):
            value = getattr(self, name)
            _require(value == 0 or _is_positive(value), me, name, value, "a finite number >= 0")
        _require(
            self.discipline in ("fifo", "priority"), me, "discipline", self.discipline, "'fifo' or 'priority'"
        )


@dataclass(frozen=True, slots=True)
class Feature:
    """One number of a request that drives its latency.

    typical: its usual value u0 > 0, known within 4x: encoded ln(u / u0), and u > 0 is required.
    None: encoded ln(1 + u), u >= 0. knee: adds ln cosh of that, for the one or two features that dominate
    (latency has a floor and a slope; a logarithm alone has only the slope).
    """

    name: str
    typical: float | None = None
    knee: bool = False

    def __post_init__(self) -> None:
        me = f"Feature {self.name!r}"
        _require_name("Feature", self.name)
        _require(
            self.typical is None or _is_positive(self.typical),
            me,
            "typical",
            self.typical,
            "a finite number > 0 or None",
        )
        _require(
            not self.knee or self.typical is not None,
            me,
            "knee",
            self.knee,
            "a typical value for the knee to stand at",
        )


@dataclass(frozen=True, slots=True)
class Column:
    """A number that differs per candidate, encoded ln(1 + v / scale), clipped at 6; NaN or absent = unknown.

    scale: a value of v that matters, > 0. tracked: the engine counts it ("running", "waiting" or "in_flight"
    jobs of the resource). reported: it comes by `engine.report(resource, NAME=value)`. Neither: it is given with
    each call, in Z.
    """

    name: str
    scale: float
    tracked: Literal["running", "waiting", "in_flight"] | None = None
    reported: bool = False

    def __post_init__(self) -> None:
        me = f"Column {self.name!r}"
        _require(
            isinstance(self.name, str) and self.name.isidentifier(),
            "Column",
            "name",
            self.name,
            "an identifier",
        )
        _require(_is_positive(self.scale), me, "scale", self.scale, "a finite number > 0")
        _require(
            self.tracked in (None, "running", "waiting", "in_flight"),
            me,
            "tracked",
            self.tracked,
            "'running', 'waiting', 'in_flight' or None",
        )
        _require(
            not (self.tracked and self.reported),
            me,
            "reported",
            self.reported,
            "either tracked or reported, not both,",
        )


@dataclass(frozen=True, slots=True)
class Model:
    """What a job runs.

    features: Feature objects or plain names (a name means Feature(name)). columns: at most 4.
    resources: names of the resources that can run it; None = all.
    Encoded size 1 + features + knees + columns is at most 12.
    """

    name: str
    features: tuple[Feature | str, ...] = ()
    columns: tuple[Column, ...] = ()
    signals: tuple[str, ...] = ("service",)
    resources: tuple[str, ...] | None = None
    d: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        me = f"Model {self.name!r}"
        _require_name("Model", self.name)
        features = tuple(Feature(f) if isinstance(f, str) else f for f in self.features)
        object.__setattr__(self, "features", features)
        object.__setattr__(self, "columns", tuple(self.columns))
        unique_names(me, "features", features)
        unique_names(me, "columns", self.columns)
        _require(
            len(self.columns) <= LIMITS["columns"],
            me,
            "columns",
            [c.name for c in self.columns],
            f"at most {LIMITS['columns']} of them",
        )
        d = 1 + len(features) + sum(f.knee for f in features) + len(self.columns)
        object.__setattr__(self, "d", d)
        _require(
            d <= LIMITS["features"],
            me,
            "encoded size",
            d,
            f"1 + features + knees + columns <= {LIMITS['features']}",
        )
        _require(
            self.signals == ("service",),
            me,
            "signals",
            self.signals,
            "('service',) (the only signal of this version)",
        )


@dataclass(frozen=True, slots=True)
class QoS:
    """One class of service.

    deadline_s: seconds from arrival to end, > 0. on_time: probability in (0, 1) with which it must hold.
    priority: 0 (served first) .. 7. weight: what an on-time job is worth in weighted goodput.
    contract: "standard" refuses a job whose P(on time) is below 0.3; "best_effort" refuses none.
    """

    name: str
    deadline_s: float
    on_time: float = 0.95
    priority: int = 0
    weight: float = 1.0
    contract: Literal["best_effort", "standard"] = "standard"

    def __post_init__(self) -> None:
        me = f"QoS {self.name!r}"
        _require_name("QoS", self.name)
        _require(
            _is_positive(self.deadline_s), me, "deadline_s", self.deadline_s, "a finite number of seconds > 0"
        )
        _require(
            _is_positive(self.on_time) and self.on_time < 1,
            me,
            "on_time",
            self.on_time,
            "a probability in (0, 1)",
        )
        _require(
            isinstance(self.priority, int) and 0 <= self.priority < LIMITS["levels"],
            me,
            "priority",
            self.priority,
            f"an int in 0..{LIMITS['levels'] - 1}",
        )
        _require(
            self.weight == 0 or _is_positive(self.weight), me, "weight", self.weight, "a finite number >= 0"
        )
        _require(
            self.contract in ("best_effort", "standard"),
            me,
            "contract",
            self.contract,
            "'best_effort' or 'standard'",
        )

    @property
    def reject_below(self) -> float:
        """Raw P(on time) under which the class refuses a job; 0 = never."""
        return STANDARD_REJECT_BELOW if self.contract == "standard" else 0.0


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile measured elsewhere, as prior for one (resource, model).

    mean_s: expected service seconds at the features' typical values, > 0. spread: standard deviation of
    ln(seconds), > 0. weight: how many observations it counts as, > 0.
    """

    resource: str
    model: str
    mean_s: float
    spread: float = 0.3
    weight: float = 8.0

    def __post_init__(self) -> None:
        for name in ("mean_s", "spread", "weight"):
            value = getattr(self, name)
            _require(
                _is_positive(value),
                f"Profile ({self.resource!r}, {self.model!r})",
                name,
                value,
                "a finite number > 0",
            )

    @property
    def ln_median(self) -> float:
        """ln of the median seconds of a lognormal with this mean and spread."""
        return math.log(self.mean_s) - 0.5 * self.spread**2


def unique_names(owner: str, kind: str, items: Iterable[_Named]) -> dict[str, int]:
    """Index by name; raises ConfigError on a name given twice."""
    index: dict[str, int] = {}
    for i, item in enumerate(items):
        _require(item.name not in index, owner, kind, item.name, "a name used once")
        index[item.name] = i
    return index
