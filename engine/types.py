"""What users declare: resources, models, features. Frozen and validated."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from tailwise._core.core import LIMITS
from tailwise.column import Column
from tailwise.validate import is_positive, labels_of, require, require_name, unique_names

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
        me = f"Resource {self.name!r}"
        require_name("Resource", self.name)
        require(
            isinstance(self.slots, int) and 1 <= self.slots <= 256,
            me,
            "slots",
            self.slots,
            "an int in 1..256",
        )
        for name in ("cost_per_s", "offset_s", "power_w"):
            value = getattr(self, name)
            require(value == 0 or is_positive(value), me, name, value, "a finite number >= 0")
        require(
            self.discipline in ("fifo", "priority"), me, "discipline", self.discipline, "'fifo' or 'priority'"
        )
        object.__setattr__(self, "labels", labels_of(me, "labels", self.labels))
        memory = self.memory_bytes
        require(
            memory is None or (isinstance(memory, int) and memory >= 0),
            me,
            "memory_bytes",
            memory,
            "an int >= 0 or None",
        )
        require(isinstance(self.kind, str), me, "kind", self.kind, "a string, the name of a device class,")
        self._check_capacity(me)

    def _check_capacity(self, me: str) -> None:
        most, tokens = self.max_running, self.kv_tokens
        expected = "an int in 1..65536 or None"
        whole = isinstance(most, int) and not isinstance(most, bool)
        require(
            most is None or (whole and 1 <= most <= 65536),
            me,
            "max_running",
            most,
            expected,
        )
        expected = "slots left alone beside max_running, and discipline 'fifo',"
        hard = self.slots != 1 or self.discipline != "fifo"
        require(most is None or not hard, me, "max_running", most, expected)
        require(tokens is None or is_positive(tokens), me, "kv_tokens", tokens, "a finite number > 0 or None")
        require(tokens is None or most is not None, me, "kv_tokens", tokens, "a max_running beside it")


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
        require_name("Feature", self.name)
        require(
            self.typical is None or is_positive(self.typical),
            me,
            "typical",
            self.typical,
            "a finite number > 0 or None",
        )
        require(
            not self.knee or self.typical is not None,
            me,
            "knee",
            self.knee,
            "a typical value for the knee to stand at",
        )


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
        me = f"Model {self.name!r}"
        require_name("Model", self.name)
        features = tuple(Feature(f) if isinstance(f, str) else f for f in self.features)
        object.__setattr__(self, "features", features)
        object.__setattr__(self, "columns", tuple(self.columns))
        unique_names(me, "features", features)
        unique_names(me, "columns", self.columns)
        object.__setattr__(self, "requires", labels_of(me, "requires", self.requires))
        family = self.variant_of
        require(
            family is None or (isinstance(family, str) and bool(family)),
            me,
            "variant_of",
            family,
            "a name or None",
        )
        memory, accuracy = self.memory_bytes, self.accuracy
        require(isinstance(memory, int) and memory >= 0, me, "memory_bytes", memory, "an int >= 0")
        tau_s, expected = self.tau_s, "seconds > 0 (inf = never forget) or None"
        require(tau_s is None or is_positive(tau_s) or tau_s == math.inf, me, "tau_s", tau_s, expected)
        require(
            accuracy is None or (is_positive(accuracy) and accuracy <= 1),
            me,
            "accuracy",
            accuracy,
            "a number in (0, 1] or None",
        )
        require(
            len(self.columns) <= LIMITS["columns"],
            me,
            "columns",
            [c.name for c in self.columns],
            f"at most {LIMITS['columns']} of them",
        )
        for column in self.columns:
            require(
                column.times is None or column.times in {f.name for f in features},
                me,
                f"columns: times of {column.name!r}",
                column.times,
                "the name of a feature of this model",
            )
        d = 1 + len(features) + sum(f.knee for f in features) + sum(c.d for c in self.columns)
        object.__setattr__(self, "d", d)
        require(
            d <= LIMITS["features"],
            me,
            "encoded size",
            d,
            f"1 + features + knees + columns + their squares and products <= {LIMITS['features']}",
        )
        object.__setattr__(self, "signals", tuple(self.signals))
        expected = "('service',) or ('ttft', 'tpot')"
        require(self.signals in (("service",), ("ttft", "tpot")), me, "signals", self.signals, expected)
        names, expected = {f.name for f in features}, "the name of a feature of this model or None"
        require(self.items is None or self.items in names, me, "items", self.items, expected)
        self._find_prompt(me, {f.name for f in features})

    def _find_prompt(self, me: str, features: set[str]) -> None:
        tracks = any(column.tracked in ("prefill_tokens", "kv_tokens") for column in self.columns)
        if self.prompt is None and (tracks or self.streams) and "prompt_tokens" in features:
            object.__setattr__(self, "prompt", "prompt_tokens")
        expected = "the name of a feature, its prompt's tokens,"
        if tracks:
            expected += " since a column tracks tokens"
        require(
            self.prompt in features or (self.prompt is None and not tracks),
            me,
            "prompt",
            self.prompt,
            expected,
        )

    @property
    def streams(self) -> bool:
        """Two signals: answers come token by token."""
        return len(self.signals) == 2

    @property
    def given(self) -> tuple[str, ...]:
        """What comes with each call, in the order of the rows of Z: given columns and what `plus` names."""
        names = (column.given for column in self.columns)
        return tuple(dict.fromkeys(name for name in names if name is not None))
