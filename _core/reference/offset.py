"""Where a resource stands among the others, from the other models that both have run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tailwise._core.reference.belief import Evidence, pooled_mean
from tailwise._core.reference.encoding import Array

NOISE_VAR = 0.09  # of ln(seconds), one result
CELL_VAR = (0.45**2, 0.2**2)  # particular to a (resource, model): across device classes, within one
UNCOMPARED_VAR = 2.0**2  # between resources that no model was run on both of


def levels(by_resource: Sequence[Evidence], d: int, n_columns: int) -> tuple[Array, Array]:
    """ln(seconds) of a typical job on each resource (K,), from its own data and common slopes; its n (K,)."""
    slopes = pooled_mean(by_resource, d, n_columns)[1:]
    n = np.array([e.n for e in by_resource])
    mean = [float(e.w @ (e.y - e.X[:, 1:] @ slopes)) / e.n if e.n > 0 else np.nan for e in by_resource]
    return np.array(mean), n


def expected_level(
    ln_s: Array, n: Array, kind: Sequence[str], model: int, lane: int
) -> tuple[float, float] | None:
    """(ln(seconds), precision) of an unseen (model, lane): ln_s, n (M, K). None without a comparison."""
    guesses, variances, compared = [], [], False
    for other in map(int, np.flatnonzero(n[model] > 0)):
        if other == lane:
            continue
        cell = CELL_VAR[kind[lane] != "" and kind[lane] == kind[other]]
        both = [m for m in range(len(n)) if m != model and n[m, lane] > 0 and n[m, other] > 0]
        w = np.array([1.0 / (cell + NOISE_VAR / n[m, lane] + NOISE_VAR / n[m, other]) for m in both])
        gaps = np.array([ln_s[m, lane] - ln_s[m, other] for m in both])
        precision = w.sum() + 1.0 / UNCOMPARED_VAR
        compared = compared or bool(both)
        guesses.append(ln_s[model, other] + w @ gaps / precision)
        variances.append(cell + NOISE_VAR / n[model, other] + 1.0 / precision)
    if not compared:
        return None
    l0 = float(np.clip(NOISE_VAR / min(variances), 0.25, 1.0))
    return float(np.average(guesses, weights=1.0 / np.array(variances))), l0
