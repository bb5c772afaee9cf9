"""Random engines: resources, models and classes of every kind that a decision tells apart."""

from __future__ import annotations

import math

import tailwise as tw
from tests.golden.dice import Dice

__all__ = ["BASE_S", "any_class", "classes", "model", "n_resources", "profiles", "resources"]

#: What a job takes, about.
BASE_S = 0.05
TPOT_S = 0.01
LABELS = ("fp8", "eu")


def n_resources(dice: Dice) -> int:
    """1 to 64 mostly; every seventh world has more, beyond one word of a mask and up to 200."""
    if dice.chance(0.3):
        return dice.whole(1, 8)
    if dice.chance(0.8):
        return dice.whole(9, 64)
    return dice.mostly(200, range(65, 131), 0.6)


def resources(dice: Dice, k: int, streams: bool) -> list[tw.Resource]:
    """In every third world all alike, so that ties are drawn."""
    alike, soft = dice.chance(0.35), streams and dice.chance(0.6)
    slots = dice.one_of((1, 2, 4, 32))
    found = []
    for i in range(k):
        numbers = {"slots": slots} if alike else {"slots": dice.one_of((1, 2, 3, 8))}
        if soft:
            numbers = {"max_running": dice.one_of((2, 8)), "kv_tokens": dice.mostly(None, (4000.0,), 0.5)}
        elif not alike or dice.chance(0.2):
            numbers["discipline"] = dice.one_of(("fifo", "priority"))
        if not alike:
            numbers |= {
                "offset_s": dice.mostly(0.0, (0.001, 0.004), 0.2),
                "cost_per_s": dice.real(0.5, 4.0),
                "power_w": dice.real(50.0, 700.0),
                "kind": dice.one_of(("", "gpu", "cpu")),
                "labels": frozenset(label for label in LABELS if dice.chance(0.8)),
                "memory_bytes": dice.mostly(1000, (None, 100), 0.3),
            }
        found.append(tw.Resource(f"r{i}", **numbers))
    return found


def model(dice: Dice, name: str, names: list[str], streams: bool, demands: bool) -> tw.Model:
    """Up to 12 encoded numbers: features with and without a typical value and a knee, columns of every kind. demands:
    labels and memory that some resources do not have, or none."""
    features = [_feature(dice, i) for i in range(dice.whole(0 if not streams else 1, 7))]
    if streams:
        features[0] = tw.Feature("prompt_tokens", typical=512.0)
    columns: list[tw.Column] = []
    size = 1 + len(features) + sum(f.knee for f in features)
    for j in range(dice.whole(0, 4)):
        column = _column(dice, j, [f.name for f in features], streams)
        if size + column.d <= 12:
            columns.append(column)
            size += column.d
    some = [n for n in names if dice.chance(0.7)] if dice.chance(0.15) else []
    return tw.Model(
        name,
        tuple(features),
        tuple(columns),
        signals=("ttft", "tpot") if streams else ("service",),
        resources=tuple(some) or None,
        requires=frozenset(LABELS[:1]) if demands and dice.chance(0.2) else frozenset(),
        memory_bytes=dice.mostly(0, (200, 2000), 0.4) if demands else 0,
        accuracy=dice.real(0.6, 0.9),
        items=features[-1].name if features and dice.chance(0.5) else None,
    )


def _feature(dice: Dice, i: int) -> tw.Feature:
    if dice.chance(0.3):
        return tw.Feature(f"f{i}")
    return tw.Feature(f"f{i}", typical=dice.one_of((1.0, 8.0, 512.0)), knee=dice.chance(0.3))


def _column(dice: Dice, j: int, features: list[str], streams: bool) -> tw.Column:
    kinds = ["running", "waiting", "in_flight", "reported", "given"]
    kind = dice.one_of([*kinds, "prefill_tokens", "kv_tokens"] if streams else kinds)
    return tw.Column(
        f"c{j}",
        scale=2000.0 if kind.endswith("tokens") else dice.one_of((1.0, 4.0)),
        tracked=None if kind in ("reported", "given") else kind,  # type: ignore[arg-type]
        reported=kind == "reported",
        plus="own" if kind != "given" and dice.chance(0.3) else None,
        square=dice.chance(0.4),
        times=dice.one_of(features) if features and dice.chance(0.3) else None,
    )


def any_class(streams: bool) -> tw.QoS:
    """Refuses nobody, and explores nothing."""
    bounds = {"ttft_s": math.exp(3) * BASE_S} if streams else {"deadline_s": math.exp(3) * BASE_S}
    return tw.QoS("any", **bounds, priority=7, contract="best_effort", explore=False)


def classes(dice: Dice, streams: bool) -> list[tw.QoS]:
    return [any_class(streams), *(_qos(dice, f"q{i}", streams) for i in range(5))]


def _qos(dice: Dice, name: str, streams: bool) -> tw.QoS:
    bound_s = BASE_S * math.exp(dice.real(0.0, 2.5))
    bounds = {"deadline_s": bound_s}
    objectives = ["cost", "energy", "accuracy"]
    if streams:
        objectives += ["shared", "shared"]
        if dice.chance(0.8):
            bounds = {"ttft_s": bound_s}
            if dice.chance(0.7):
                bounds["tpot_s"] = TPOT_S * math.exp(dice.real(-0.3, 1.0))
            if dice.chance(0.3):
                bounds["deadline_s"] = bound_s + 100 * TPOT_S
    policy = dice.mostly("greedy", ("thompson", "ucb"), 0.25)
    return tw.QoS(
        name,
        **bounds,
        on_time=dice.one_of((0.5, 0.8, 0.9, 0.95, 0.99)),
        priority=dice.whole(0, 7),
        contract=dice.one_of(("best_effort", "standard", "guaranteed")),  # type: ignore[arg-type]
        objective=dice.mostly("completion", objectives, 0.4),  # type: ignore[arg-type]
        policy=policy,  # type: ignore[arg-type]
        kappa=dice.one_of((0.5, 1.0, 2.0)),
        explore=policy != "greedy" or dice.chance(0.8),
        max_cost=dice.mostly(math.inf, (3.0 * BASE_S,), 0.12),
        min_throughput=dice.mostly(0.0, (0.7 / BASE_S,), 0.08),
        min_accuracy=dice.mostly(0.0, (0.75,), 0.05),
    )


def profiles(dice: Dice, of: tw.Model, names: list[str]) -> list[tw.Profile]:
    """Measured elsewhere, in some worlds for some."""
    runs = [n for n in names if of.resources is None or n in of.resources]
    if of.requires or of.memory_bytes or dice.chance(0.8):
        return []
    return [tw.Profile(n, of.name, BASE_S * math.exp(0.5 * dice.normal())) for n in runs if dice.chance(0.3)]
