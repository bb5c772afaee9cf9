"""What an executor can serve and what it cannot, said before the first job, or before a job is counted."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping

import torch

from tailwise.batching import Batching
from tailwise.engine import Engine
from tailwise.errors import ConfigError, InputError, UnknownName
from tailwise.qos import QoS
from tailwise.validate import as_number, is_positive, is_whole, require

__all__ = ["Features", "Fit", "same_names"]

#: A job's raw features from its inputs.
Features = Callable[[tuple[torch.Tensor, ...]], tuple[float, ...]]


class Fit:
    """The declared names and options of an executor, checked. Raises ConfigError, UnknownName."""

    def __init__(
        self,
        engine: Engine,
        models: Mapping[str, object],
        workers: Mapping[str, object],
        features: Mapping[str, Features],
        batching: Mapping[str, Batching],
        timeout_s: float | Mapping[str, float] | None,
    ) -> None:
        same_names("models", models, [m.name for m in engine.models])
        same_names("workers", workers, [r.name for r in engine.resources])
        self.engine = engine
        self._variants: dict[str, tuple[str, ...]] = {m.name: (m.name,) for m in engine.models}
        for family in dict.fromkeys(m.variant_of for m in engine.models if m.variant_of is not None):
            names = tuple(m.name for m in engine.models if m.variant_of == family)
            self._variants.setdefault(family, names)
        self._qos = {q.name: q for q in engine.qos}
        self._streams = frozenset(m.name for m in engine.models if m.streams)
        self._features = dict(features)
        for name in self._features:
            self.variants(name)
        self._timeout_s = self._limits(timeout_s)
        #: by model, those of a family singly
        self.batching = {variant: rule for name, rule in batching.items() for variant in self.variants(name)}
        self._joined = frozenset(
            name for name, variants in self._variants.items() if any(v in self.batching for v in variants)
        )
        self._refuse_what_needs_more()

    @staticmethod
    def hold_options(max_queued: int | None, warmup_calls: int, progress_s: float | None) -> None:
        """Raises ConfigError on one that is out of its range."""
        whole = max_queued is None or is_whole(max_queued, 1, 2**31 - 1)
        require(whole, "Executor", "max_queued", max_queued, "an int >= 1 or None")
        whole = is_whole(warmup_calls, 0, 2**31 - 1)
        require(whole, "Executor", "warmup_calls", warmup_calls, "an int >= 0")
        told = progress_s is None or is_positive(as_number(progress_s))
        require(told, "Executor", "progress_s", progress_s, "seconds > 0 or None")

    def qos(self, name: str) -> QoS:
        if name not in self._qos:
            raise UnknownName(f"no QoS class {name!r}; there are {', '.join(map(repr, self._qos))}")
        return self._qos[name]

    def variants(self, model: str) -> tuple[str, ...]:
        """The models behind a name: itself, or those of a family. Raises UnknownName."""
        if model not in self._variants:
            raise UnknownName(f"no model {model!r}; there are {', '.join(map(repr, sorted(self._variants)))}")
        return self._variants[model]

    def job(
        self,
        model: str,
        inputs: torch.Tensor | tuple[torch.Tensor, ...],
        features: tuple[float, ...] | None,
    ) -> tuple[tuple[torch.Tensor, ...], tuple[float, ...]]:
        """A job's inputs and features. Raises UnknownName, InputError, and what the user's function raises."""
        if model not in self._variants:
            self.variants(model)
        inputs = inputs if isinstance(inputs, tuple) else (inputs,)
        for tensor in inputs:
            if not isinstance(tensor, torch.Tensor):
                raise InputError(f"inputs of {model!r}: a tensor or a tuple of tensors is expected")
        if features is None:
            of_inputs = self._features.get(model)
            features = () if of_inputs is None else of_inputs(inputs)
        return inputs, features

    def shape(self, model: str, inputs: tuple[torch.Tensor, ...]) -> Hashable:
        """What jobs have alike that can be served together; None = it is served alone."""
        if model not in self._joined:
            return None
        if not inputs or any(t.dim() == 0 or len(t) != len(inputs[0]) for t in inputs):
            return None
        return tuple((tensor.shape[1:], tensor.dtype) for tensor in inputs)

    def streams(self, model: str) -> bool:
        """Two signals are learned of it."""
        return model in self._streams

    def timeout_s(self, model: str) -> float | None:
        """How long a job of the model may be in service; None = as long as it takes."""
        return self._timeout_s.get(model)

    def _limits(self, timeout_s: float | Mapping[str, float] | None) -> dict[str, float]:
        if timeout_s is None:
            return {}
        limits: dict[str, float] = {}
        given = timeout_s if isinstance(timeout_s, Mapping) else dict.fromkeys(self._variants, timeout_s)
        for name, seconds in given.items():
            require(is_positive(as_number(seconds)), "Executor", "timeout_s", seconds, "seconds > 0 or None")
            limits |= dict.fromkeys(self.variants(name), float(seconds))
        return limits

    def _refuse_what_needs_more(self) -> None:
        for model in self.engine.models:
            if model.given:
                raise ConfigError(
                    f"Executor: model {model.name!r} needs {', '.join(model.given)} with each job; "
                    "use route.select and the ticket for it"
                )
        for qos in self.engine.qos:
            if math.isinf(min(qos.deadline_s, qos.ttft_s)):
                raise ConfigError(
                    f"Executor: class {qos.name!r} has neither deadline_s nor ttft_s, but jobs are queued by it"
                )


def same_names(what: str, given: Mapping[str, object], expected: list[str]) -> None:
    """Raises ConfigError unless every declared name is given, and no other."""
    if set(given) != set(expected):
        raise ConfigError(f"Executor: {what} for {sorted(given)}, but the engine declares {sorted(expected)}")
