"""Variants of one network in a run: how accurate each is, which a class may get, and a fixed choice among them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tailwise.adapters.cli.calibrate import Calibration
from tailwise.adapters.cli.workload import Workload, resolve
from tailwise.adapters.cli.workloads.measured import Measured
from tailwise.errors import ConfigError

__all__ = ["accuracies", "allowed", "fixed_choice", "prepared"]


def prepared(workload: Workload, say: Callable[[str], None]) -> dict[str, Measured]:
    """Trains or loads what the models need; by model, what was measured of it, where there is something to measure.

    say: takes a line about what is done. Raises what preparing raises, MissingExtra among it.
    """
    found: dict[str, Measured] = {}
    for path in dict.fromkeys(spec.prepare for spec in workload.models if spec.prepare is not None):
        module = path.partition(":")[0]
        say(f"preparing {module.rpartition('.')[2]}")
        for name, value in resolve(path, "[[model]] prepare")(say).items():
            found[f"{module}:{name}"] = value if isinstance(value, Measured) else Measured(value)
    return {spec.name: found[spec.source] for spec in workload.models if spec.source in found}


def accuracies(workload: Workload, measured: Mapping[str, Measured]) -> dict[str, float]:
    """By model, in (0, 1]: what the workload file gives, else what was measured; left out where there is neither."""
    known = {name: m.value for name, m in measured.items() if m.is_accuracy and m.value > 0}
    return known | {spec.name: spec.accuracy for spec in workload.models if spec.accuracy is not None}


def allowed(workload: Workload, accuracy: Mapping[str, float]) -> dict[tuple[str, str], tuple[str, ...]]:
    """The models that may run the jobs of each entry of the mix, by (model or family, class).

    Raises ConfigError where a class leaves none.
    """
    least = {q.name: q.min_accuracy for q in workload.qos}
    may: dict[tuple[str, str], tuple[str, ...]] = {}
    for entry in workload.mix:
        specs = workload.runners(entry.model)
        names = tuple(s.name for s in specs if accuracy.get(s.name, 0.0) >= least[entry.qos])
        if not names:
            had = ", ".join(f"{s.name} {accuracy.get(s.name, 'unknown')}" for s in specs)
            raise ConfigError(
                f"{workload.name}: [[qos]] {entry.qos!r}: min_accuracy={least[entry.qos]} leaves nothing to run "
                f"{entry.model!r} (accuracy: {had}); lower it, or give a more accurate variant"
            )
        may[entry.model, entry.qos] = names
    return may


def fixed_choice(
    workload: Workload,
    may: Mapping[tuple[str, str], tuple[str, ...]],
    accuracy: Mapping[str, float],
    calibration: Calibration,
) -> dict[tuple[str, str], str]:
    """The variant that somebody would deploy for each (family, class) who has to choose one beforehand: the most
    accurate one where accuracy is the objective of the class, else the fastest that it may get, by calibration."""
    mean_s = dict(zip((m.name for m in workload.models), calibration.services_s.mean(axis=0), strict=True))
    objective = {q.name: q.objective for q in workload.qos}
    families = {spec.variant_of for spec in workload.models}
    fixed: dict[tuple[str, str], str] = {}
    for (name, qos), names in may.items():
        if name not in families:
            continue
        if objective[qos] == "accuracy":
            fixed[name, qos] = max(names, key=lambda model: accuracy.get(model, 0.0))
        else:
            fixed[name, qos] = min(names, key=lambda model: float(mean_s[model]))
    return fixed
