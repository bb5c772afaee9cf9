"""A workload file (TOML): models, resources with their environment, QoS classes, mix and arrivals, validated."""

from __future__ import annotations

import dataclasses
import importlib
import platform
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from tailwise.batching import Batching, items_at
from tailwise.errors import ConfigError, UnknownName
from tailwise.qos import QoS
from tailwise.types import Feature, Model

__all__ = ["Arrivals", "ClassSpec", "MixEntry", "ModelSpec", "ResourceSpec", "Workload", "load", "resolve"]


@dataclass(frozen=True, slots=True)
class Arrivals:
    """load: share of what the resources can serve. cv: coefficient of variation of the gaps (1 = Poisson)."""

    load: float = 0.8
    cv: float = 2.0
    block_s: float = 4.0  #: the policies take turns in blocks of this length


@dataclass(frozen=True, slots=True)
class ResourceSpec:
    """One kind of worker. device "cuda:*" = every CUDA device found. count: copies; share_of_cores: or as many
    as this share of the machine's cores holds. machine: only there ("x86_64"), or only elsewhere ("!x86_64")."""

    name: str
    worker: Literal["process", "thread"] = "process"
    device: str = "cpu"
    slots: int = 1
    threads: int = 1
    count: int | None = None
    share_of_cores: float | None = None
    machine: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)

    def here(self) -> bool:
        """Is it meant for this machine?"""
        here = platform.machine().lower().replace("amd64", "x86_64")
        if self.machine is None:
            return True
        return here != self.machine[1:] if self.machine.startswith("!") else here == self.machine


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """source: "package.module:factory" or a TorchScript file beside the workload file. requests: import path of a
    factory that makes a source of requests; or inputs: shapes of random float32 tensors. prepare: import path of
    a function that trains or fetches what the source needs and returns what it measured by source name. variant_of:
    the family that it is a variant of; its variants get the same requests. accuracy: where it is given, else the one
    that `prepare` measured. items: the feature that counts a job's items. max_items: jobs that wait for it are joined
    to one call of so many items at most, whatever the policy; absent = served one by one."""

    name: str
    source: str
    requests: str | None = None
    inputs: tuple[tuple[int, ...], ...] = ()
    prepare: str | None = None
    features: tuple[Feature, ...] = ()
    variant_of: str | None = None
    accuracy: float | None = None
    items: str | None = None
    max_items: int | None = None

    @property
    def asked(self) -> str:
        """Under what name jobs for it come: its family's or its own."""
        return self.variant_of or self.name

    def declare(self, accuracy: float | None = None) -> Model:
        """The engine's model; accuracy: where the file gives none. Raises ConfigError."""
        return Model(
            self.name,
            features=self.features,
            accuracy=accuracy if self.accuracy is None else self.accuracy,
            variant_of=self.variant_of,
            items=self.items,
        )


@dataclass(frozen=True, slots=True)
class ClassSpec:
    """A QoS class; its deadline in seconds, or in multiples of the mean service time of the mix."""

    name: str
    deadline_s: float | None = None
    deadline_services: float | None = None
    on_time: float = 0.95
    priority: int = 0
    weight: float = 1.0
    contract: Literal["best_effort", "standard"] = "standard"
    min_accuracy: float = 0.0
    objective: Literal["completion", "accuracy"] = "completion"

    def resolve(self, service_s: float) -> QoS:
        """The class once a mean service time is known."""
        deadline_s = self.deadline_s if self.deadline_services is None else self.deadline_services * service_s
        assert deadline_s is not None
        return QoS(
            self.name,
            deadline_s,
            self.on_time,
            self.priority,
            self.weight,
            self.contract,
            min_accuracy=self.min_accuracy,
            objective=self.objective,
        )


@dataclass(frozen=True, slots=True)
class MixEntry:
    """share: relative frequency of this (model or family, class) among the arrivals."""

    model: str
    qos: str
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Workload:
    """One validated workload file."""

    name: str
    folder: Path
    arrivals: Arrivals
    resources: tuple[ResourceSpec, ...]
    models: tuple[ModelSpec, ...]
    qos: tuple[ClassSpec, ...]
    mix: tuple[MixEntry, ...]

    def batching(self) -> dict[str, Batching]:
        """How jobs are joined, by model. Raises ConfigError."""
        return {m.name: Batching(m.max_items) for m in self.models if m.max_items is not None}

    def model_path(self, spec: ModelSpec) -> str:
        """The source as a worker takes it: an import path, or an absolute file name."""
        return spec.source if ":" in spec.source else str((self.folder / spec.source).resolve())

    def runners(self, asked: str) -> tuple[ModelSpec, ...]:
        """What may run a job for this name: the model, or every variant of the family."""
        return tuple(spec for spec in self.models if spec.asked == asked)


def load(path: Path | None = None) -> Workload:
    """Reads a workload file; None = the embedded default. A bare name that is no file here is looked up among those
    that come with the package. Raises ConfigError that names file, table and key."""
    shipped = files("tailwise.adapters.cli")
    if path is None:
        return _parse(
            tomllib.loads(shipped.joinpath("default.toml").read_text("utf-8")), "default", Path.cwd()
        )
    try:
        if not path.exists() and path.name == str(path) and shipped.joinpath(path.name).is_file():
            data = tomllib.loads(shipped.joinpath(path.name).read_text("utf-8"))
        else:
            data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        names = ", ".join(sorted(f.name for f in shipped.iterdir() if f.name.endswith(".toml")))
        raise ConfigError(f"workload file {path}: {error.strerror}; shipped with tailwise: {names}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"workload file {path} is not TOML: {error}") from None
    return _parse(data, str(path), path.parent)


def resolve(import_path: str, where: str) -> Callable[..., Any]:
    """The object behind "package.module:name". Raises ConfigError that says which part is missing."""
    module_name, _, name = import_path.partition(":")
    try:
        target: Callable[..., Any] = getattr(importlib.import_module(module_name), name)
    except ImportError as error:
        raise ConfigError(f"{where}: cannot import {module_name!r}: {error}") from error
    except AttributeError:
        raise ConfigError(f"{where}: module {module_name!r} has no {name!r}") from None
    return target


def _parse(data: dict[str, Any], name: str, folder: Path) -> Workload:
    unknown = set(data) - {"arrivals", "resource", "model", "qos", "mix"}
    if unknown:
        raise ConfigError(
            f"{name}: unknown tables {sorted(unknown)}; arrivals, resource, model, qos, mix are known"
        )
    for key in ("resource", "model", "qos", "mix"):
        if not isinstance(data.get(key), list) or not data[key]:
            raise ConfigError(f"{name}: at least one [[{key}]] table is expected")
    models = []
    for table in data["model"]:
        table = dict(table)
        features = tuple(_build(Feature, f, f"{name}: [[model.feature]]") for f in table.pop("feature", []))
        table["inputs"] = tuple(tuple(shape) for shape in table.pop("inputs", ()))
        models.append(_build(ModelSpec, table | {"features": features}, f"{name}: [[model]]"))
    workload = Workload(
        name=name,
        folder=folder,
        arrivals=_build(Arrivals, data.get("arrivals", {}), f"{name}: [arrivals]"),
        resources=tuple(_build(ResourceSpec, t, f"{name}: [[resource]]") for t in data["resource"]),
        models=tuple(models),
        qos=tuple(_build(ClassSpec, t, f"{name}: [[qos]]") for t in data["qos"]),
        mix=tuple(_build(MixEntry, t, f"{name}: [[mix]]") for t in data["mix"]),
    )
    _check(workload)
    return workload


def _build(kind: type[Any], table: Mapping[str, Any], where: str) -> Any:
    known = {f.name: f for f in dataclasses.fields(kind) if f.init}
    unknown = set(table) - set(known)
    if unknown:
        raise ConfigError(f"{where}: unknown keys {sorted(unknown)}; known are {', '.join(known)}")
    try:
        return kind(**table)
    except (TypeError, ConfigError) as error:
        raise ConfigError(f"{where}: {error}") from None


def _check(workload: Workload) -> None:
    where = workload.name
    arrivals = workload.arrivals
    for key in ("load", "cv", "block_s"):
        value = getattr(arrivals, key)
        if not (isinstance(value, int | float) and value > 0):
            raise ConfigError(f"{where}: [arrivals] {key}={value!r}, but a number > 0 is expected")
    for q in workload.qos:
        if (q.deadline_s is None) == (q.deadline_services is None):
            raise ConfigError(f"{where}: [[qos]] {q.name!r} needs either deadline_s or deadline_services")
        if q.objective not in ("completion", "accuracy"):
            expected = "'completion' or 'accuracy' is expected"
            raise ConfigError(f"{where}: [[qos]] {q.name!r}: objective={q.objective!r}, but {expected}")
        try:
            q.resolve(1.0)
        except ConfigError as error:
            raise ConfigError(f"{where}: [[qos]] {error}") from None
    _check_models(workload)
    asked, class_names = {m.asked for m in workload.models}, {q.name for q in workload.qos}
    for entry in workload.mix:
        if entry.model not in asked or entry.qos not in class_names:
            raise UnknownName(
                f"{where}: [[mix]] names model {entry.model!r} and class {entry.qos!r}; one is not declared "
                "(variants are asked for by the name of their family)"
            )
        if not entry.share > 0:
            raise ConfigError(f"{where}: [[mix]] share={entry.share!r}, but a number > 0 is expected")


def _check_models(workload: Workload) -> None:
    names = {m.name for m in workload.models}
    for m in workload.models:
        here = f"{workload.name}: [[model]] {m.name!r}"
        try:
            declared = m.declare()
            if m.max_items is not None:
                Batching(m.max_items)
                items_at(declared)
        except ConfigError as error:
            raise ConfigError(f"{workload.name}: [[model]] {error}") from None
        if (m.requests is None) == (not m.inputs):
            raise ConfigError(f"{here} needs either requests (import path) or inputs (shapes)")
        if ":" not in m.source and not (workload.folder / m.source).is_file():
            raise ConfigError(f"{here}: no file {m.source!r}, and it is not 'module:factory'")
        if m.variant_of in names:
            raise ConfigError(
                f"{here}: variant_of={m.variant_of!r} is a model's name; call the family otherwise"
            )
        first = workload.runners(m.asked)[0]
        for key in ("requests", "inputs", "features"):
            if getattr(m, key) != getattr(first, key):
                what = "feature" if key == "features" else key
                raise ConfigError(
                    f"{here}: {what} differs from that of {first.name!r}, a variant of the same family"
                )
