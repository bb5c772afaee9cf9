"""What users declare: resources, models, features. Frozen and validated."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from tailwise._core.core import LIMITS
from tailwise.column import Column
from tailwise.validate import (
    as_items,
    hold_flag,
    hold_number,
    hold_whole,
    is_not_negative,
    is_one_of,
    is_positive,
    labels_of,
    require,
    require_name,
    unique_names,
)

__all__ = ["Column", "Feature", "Model", "Resource"]


@dataclass(frozen=True, slots=True)
class Resource:
    """What serves jobs: a device, replica or backend.

    name: unique. slots: jobs that it serves at once, 1..256. cost_per_s: >= 0, any currency.
    offset_s: seconds added to its rank (region, transfer), >= 0.
    kind: device class ("gpu", "cpu"); models compare within one more closely than across. "" is alike to none.
    labels: what it has or where it is ({"fp8", "eu"}); models ask for them by `requires`. memory_bytes: what a model
    may take there, None = not checked. power_w: watts drawn while it serves, >= 0.
    discipline: "fifo" (the resource queues by itself; starts are inferred) or "priority" (the caller owns the
    queue, serves classes by priority and calls `ticket.start()`).
    max_running (1..65536), kv_tokens: a soft capacity instead of slots, for continuous batching. While fewer jobs run
    and less cache is in use nobody waits, and load shows in the columns; above, each job that must end first is
    waited for by the mean residual of the running ones over their number. kv_tokens needs a model's `prompt`.
    """

    name: str
    slots: int = 1
    cost_per_s: float = 0.0
    offset_s: float = 0.0
    discipline: Literal["fifo", "priority"] = "fifo"
    kind: str = ""
    labels: frozenset[str] = frozenset()
    memory_bytes: int | None = None
    power_w: float = 0.0
    max_running: int | None = None
    kv_tokens: float | None = None

    def __post_init__(self) -> None:
        require_name("Resource", self.name)
        me = f"Resource {self.name!r}"
        hold_whole(self, me, "slots", 1, 256)
        for name in ("cost_per_s", "offset_s", "power_w"):
            hold_number(self, me, name, is_not_negative, "a finite number >= 0")
        known = is_one_of(self.discipline, ("fifo", "priority"))
        require(known, me, "discipline", self.discipline, "'fifo' or 'priority'")
        object.__setattr__(self, "labels", labels_of(me, "labels", self.labels))
        hold_whole(self, me, "memory_bytes", 0, or_none=True)
        require(isinstance(self.kind, str), me, "kind", self.kind, "a string, the name of a device class,")
        hold_whole(self, me, "max_running", 1, 65536, or_none=True)
        hold_number(self, me, "kv_tokens", is_positive, "a finite number > 0", or_none=True)
        soft, hard = self.max_running is not None, self.slots != 1 or self.discipline != "fifo"
        expected = "slots left alone beside max_running, and discipline 'fifo',"
        require(not (soft and hard), me, "max_running", self.max_running, expected)
        require(self.kv_tokens is None or soft, me, "kv_tokens", self.kv_tokens, "a max_running beside it")


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
        require_name("Feature", self.name)
        me = f"Feature {self.name!r}"
        hold_number(self, me, "typical", is_positive, "a finite number > 0", or_none=True)
        hold_flag(self, me, "knee")
        expected = "a typical value for the knee to stand at"
        require(not self.knee or self.typical is not None, me, "knee", self.knee, expected)


@dataclass(frozen=True, slots=True)
class Model:
    """What a job runs.

    features: Feature objects or plain names (a name means Feature(name)). columns: at most 4.
    signals: what is predicted: ("service",), start to end; or ("ttft", "tpot") for answers that come token by
    token: start to first token, and seconds per token after it. resources: names of the resources that can run it;
    None = all. requires: labels that a resource must have. memory_bytes: what it takes on a resource, >= 0.
    accuracy: in (0, 1], what classes bound by `min_accuracy`. variant_of: name of the family that it is a variant of
    (fp32, int8 .. of one network), which `engine.family` takes; its variants declare the same inputs.
    prompt: name of the feature that is the number of the prompt's tokens, for columns that track tokens; None =
    "prompt_tokens" where there is one. tau_s: time constant of forgetting what it did, seconds > 0 (inf = never);
    None = the engine's. items: name of the feature that counts the items of a job, what throughput is measured in;
    None = 1 a job.
    Encoded size 1 + features + knees + columns + their squares and products is at most 12.
    """

    name: str
    features: tuple[Feature | str, ...] = ()
    columns: tuple[Column, ...] = ()
    signals: tuple[str, ...] = ("service",)
    resources: tuple[str, ...] | None = None
    requires: frozenset[str] = frozenset()
    memory_bytes: int = 0
    accuracy: float | None = None
    variant_of: str | None = None
    prompt: str | None = None
    tau_s: float | None = None
    items: str | None = None
    d: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        require_name("Model", self.name)
        me = f"Model {self.name!r}"
        self._hold_inputs(me)
        self._hold_bounds(me)
        names, expected = {f.name for f in self.features}, "the name of a feature of this model or None"  # type: ignore[union-attr]
        require(self.items is None or is_one_of(self.items, names), me, "items", self.items, expected)
        self._find_prompt(me, names)

    def _hold_inputs(self, me: str) -> None:
        expected = "a tuple of Feature objects and names"
        given: tuple[Feature | str, ...] = as_items(me, "features", self.features, (Feature, str), expected)
        features = tuple(Feature(f) if isinstance(f, str) else f for f in given)
        columns = as_items(
            me, "columns", self.columns, Column, f"a tuple of at most {LIMITS['columns']} Columns"
        )
        names = unique_names(me, "features", features)
        unique_names(me, "columns", columns)
        expected = f"at most {LIMITS['columns']} of them"
        require(len(columns) <= LIMITS["columns"], me, "columns", [c.name for c in columns], expected)
        for column in columns:
            known = column.times is None or is_one_of(column.times, names)
            expected = "the name of a feature of this model"
            require(known, me, f"columns: times of {column.name!r}", column.times, expected)
        d = 1 + len(features) + sum(f.knee for f in features) + sum(c.d for c in columns)
        expected = f"1 + features + knees + columns + their squares and products <= {LIMITS['features']}"
        require(d <= LIMITS["features"], me, "encoded size", d, expected)
        signals = as_items(me, "signals", self.signals, str, "('service',) or ('ttft', 'tpot')")
        expected = "('service',) or ('ttft', 'tpot')"
        require(signals in (("service",), ("ttft", "tpot")), me, "signals", signals, expected)
        for name, value in (("features", features), ("columns", columns), ("signals", signals), ("d", d)):
            object.__setattr__(self, name, value)

    def _hold_bounds(self, me: str) -> None:
        if self.resources is not None:
            names = as_items(me, "resources", self.resources, str, "a tuple of names of resources, or None,")
            object.__setattr__(self, "resources", names)
        object.__setattr__(self, "requires", labels_of(me, "requires", self.requires))
        hold_whole(self, me, "memory_bytes", 0)
        hold_number(self, me, "accuracy", lambda v: 0.0 < v <= 1.0, "a number in (0, 1]", or_none=True)
        if self.variant_of is not None:
            require_name(me, self.variant_of, "variant_of")
        expected = "seconds > 0 (inf = never forget)"
        hold_number(self, me, "tau_s", lambda v: v > 0.0, expected, or_none=True)

    def _find_prompt(self, me: str, features: set[str]) -> None:
        tracks = any(column.tracked in ("prefill_tokens", "kv_tokens") for column in self.columns)
        if self.prompt is None and (tracks or self.streams) and "prompt_tokens" in features:
            object.__setattr__(self, "prompt", "prompt_tokens")
        expected = "the name of a feature, its prompt's tokens,"
        if tracks:
            expected += " since a column tracks tokens"
        known = is_one_of(self.prompt, features) or (self.prompt is None and not tracks)
        require(known, me, "prompt", self.prompt, expected)

    @property
    def streams(self) -> bool:
        """Two signals: answers come token by token."""
        return len(self.signals) == 2

    @property
    def given(self) -> tuple[str, ...]:
        """What comes with each call, in the order of the rows of Z: given columns and what `plus` names."""
        names = (column.given for column in self.columns)
        return tuple(dict.fromkeys(name for name in names if name is not None))
