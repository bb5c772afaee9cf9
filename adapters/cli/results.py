"""What a run measured: jobs, blocks, profiles over time, and the figures drawn from them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from tailwise.adapters.torch.job import JobRecord
from tailwise.qos import QoS

__all__ = [
    "Block",
    "ClassFigures",
    "Difference",
    "PolicyFigures",
    "RunResult",
    "Sighting",
    "Variants",
    "accuracy_words",
    "figures",
    "paired",
]


@dataclass(frozen=True, slots=True)
class Sighting:
    """A profile as believed at one moment, at the typical features: how the posterior narrowed."""

    at_s: float  #: seconds of the policy's own time, blocks joined
    resource: str
    model: str
    n: float
    low_s: float  #: 5% quantile of service
    median_s: float
    high_s: float  #: 95% quantile of service


@dataclass(frozen=True, slots=True)
class Block:
    """A few seconds of the same arrivals under one policy."""

    round: int
    policy: str
    start_s: float  #: of the policy's own time: its earlier blocks joined
    seconds: float
    began_s: float  #: reading of the monotonic clock, as in the records
    rate_per_s: float  #: offered, after calibration
    records: tuple[JobRecord, ...]
    wrong: int  #: completed, but the answer did not pass its check
    lag_s: float  #: the longest that a job was submitted after it was due; counted as its waiting


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """One class under one policy. late = completed after its deadline; expired = dropped in the queue."""

    offered: int
    on_time: int
    late: int
    expired: int
    rejected: int
    failed: int
    p50_s: float  #: of completed jobs, arrival to end; NaN without any
    p99_s: float

    @property
    def missed(self) -> float:
        """Share of the offered jobs that did not complete in time, however they ended; NaN without any."""
        return 1.0 - self.on_time / self.offered if self.offered else math.nan


@dataclass(frozen=True, slots=True)
class PolicyFigures:
    """weighted_goodput: sum of weight over on-time jobs / sum of weight over offered jobs, in [0, 1]."""

    weighted_goodput: float
    wrong: int
    classes: dict[str, ClassFigures]


@dataclass(frozen=True, slots=True)
class Variants:
    """What became of one class's jobs for one family under one policy."""

    offered: int
    chosen: dict[str, int]  #: jobs by the variant that was chosen for them
    accuracy: float  #: mean over the jobs on time of what their variant is known for; NaN without any


@dataclass(frozen=True, slots=True)
class Difference:
    """tailwise minus another policy in weighted goodput, paired by round."""

    mean: float
    standard_error: float  #: NaN with fewer than two rounds
    rounds: int


@dataclass(slots=True)
class RunResult:
    """Everything that a run leaves: `report` draws it, `to_json` writes its figures."""

    machine: dict[str, Any]
    seed: int
    seconds: float
    load: float
    qos: tuple[QoS, ...]
    resources: list[dict[str, Any]]
    #: name, variant_of, accuracy (None = unknown) and whether it was given, what was measured and of what, and
    #: services_s by resource, as calibrated
    models: list[dict[str, Any]]
    blocks: list[Block] = field(default_factory=list)
    sightings: list[Sighting] = field(default_factory=list)
    interrupted: bool = False

    @property
    def policies(self) -> list[str]:
        """In the order of their first block, tailwise first."""
        names = dict.fromkeys(block.policy for block in self.blocks)
        return sorted(names, key=lambda name: name != "tailwise")

    def of(self, policy: str) -> list[Block]:
        return [block for block in self.blocks if block.policy == policy]

    def figures(self) -> dict[str, PolicyFigures]:
        return {policy: figures(self.of(policy), self.qos) for policy in self.policies}

    def differences(self) -> dict[str, Difference]:
        """Of each other policy; empty where tailwise did not play."""
        others = [policy for policy in self.policies if policy != "tailwise" and "tailwise" in self.policies]
        return {other: paired(self.of("tailwise"), self.of(other), self.qos) for other in others}

    def variants(self) -> dict[str, dict[str, dict[str, Variants]]]:
        """By policy, family and class, where jobs of the class asked for the family."""
        families: dict[str, dict[str, float | None]] = {}
        for model in self.models:
            if model["variant_of"] is not None:
                families.setdefault(model["variant_of"], {})[model["name"]] = model["accuracy"]
        return {
            policy: {
                family: {
                    q.name: found
                    for q in self.qos
                    if (found := _variants(self.of(policy), q.name, accuracy)).offered
                }
                for family, accuracy in families.items()
            }
            for policy in self.policies
            if families
        }

    def to_json(self) -> dict[str, Any]:
        """Figures as plain data; NaN and infinity (a bound that is none) become None."""
        data: dict[str, Any] = {
            "machine": self.machine,
            "seed": self.seed,
            "seconds": self.seconds,
            "load": self.load,
            "interrupted": self.interrupted,
            "classes": [asdict(q) for q in self.qos],
            "resources": self.resources,
            "models": self.models,
            "policies": {name: asdict(f) for name, f in self.figures().items()},
            "differences": {name: asdict(d) for name, d in self.differences().items()},
            "variants": {
                policy: {f: {name: asdict(v) for name, v in by.items()} for f, by in of.items()}
                for policy, of in self.variants().items()
            },
            "blocks": [
                {
                    "round": block.round,
                    "policy": block.policy,
                    "seconds": block.seconds,
                    "rate_per_s": block.rate_per_s,
                    "lag_s": block.lag_s,
                    "weighted_goodput": figures([block], self.qos).weighted_goodput,
                }
                for block in self.blocks
            ],
        }
        plain: dict[str, Any] = _finite(data)
        return plain


def figures(blocks: Sequence[Block], qos: Iterable[QoS]) -> PolicyFigures:
    """Counts the jobs of some blocks of one policy."""
    records = [record for block in blocks for record in block.records]
    classes = {q.name: _class_figures([r for r in records if r.qos == q.name]) for q in qos}
    weight = {q.name: q.weight for q in qos}
    offered = sum(weight[name] * f.offered for name, f in classes.items())
    on_time = sum(weight[name] * f.on_time for name, f in classes.items())
    return PolicyFigures(
        weighted_goodput=on_time / offered if offered else math.nan,
        wrong=sum(block.wrong for block in blocks),
        classes=classes,
    )


def paired(ours: Sequence[Block], theirs: Sequence[Block], qos: Sequence[QoS]) -> Difference:
    """Mean difference over the rounds that both have, with its standard error."""
    by_round = {block.round: figures([block], qos).weighted_goodput for block in theirs}
    differences = [
        figures([block], qos).weighted_goodput - by_round[block.round]
        for block in ours
        if block.round in by_round
    ]
    n = len(differences)
    return Difference(
        mean=float(np.mean(differences)) if n else math.nan,
        standard_error=float(np.std(differences, ddof=1) / math.sqrt(n)) if n > 1 else math.nan,
        rounds=n,
    )


def _class_figures(records: Sequence[JobRecord]) -> ClassFigures:
    completed = [r.completion_s for r in records if r.end == "completed"]
    p50_s, p99_s = np.quantile(completed, [0.5, 0.99]) if completed else (math.nan, math.nan)
    return ClassFigures(
        offered=len(records),
        on_time=sum(r.on_time for r in records),
        late=sum(r.end == "completed" and not r.on_time for r in records),
        expired=sum(r.end == "expired" for r in records),
        rejected=sum(r.end == "rejected" for r in records),
        failed=sum(r.end in ("failed", "cancelled", "timed_out") for r in records),
        p50_s=float(p50_s),
        p99_s=float(p99_s),
    )


def _variants(blocks: Sequence[Block], qos: str, accuracy: Mapping[str, float | None]) -> Variants:
    """accuracy: by variant of the family."""
    records = [r for block in blocks for r in block.records if r.qos == qos and r.model in accuracy]
    right = [accuracy[r.model] for r in records if r.on_time]
    known = [value for value in right if value is not None]
    return Variants(
        offered=len(records),
        chosen={name: sum(r.model == name for r in records) for name in accuracy},
        accuracy=float(np.mean(known)) if known and len(known) == len(right) else math.nan,
    )


def accuracy_words(model: Mapping[str, Any]) -> str:
    """What is known of a model's answers and from where; empty where nothing is."""
    words = []
    if model["given"]:
        words.append(f"{model['accuracy']:.3f} given")
    if model["measured"] is not None:
        words.append(f"{model['measured']:.3f} {model['measured_of']}")
    return ", ".join(words)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
