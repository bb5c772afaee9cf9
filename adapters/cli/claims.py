"""Claimed probabilities of being on time against the observed share, in bins: a reliability diagram's panel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tailwise.adapters.cli.canvas import INK

# matplotlib is first imported in canvas, whose error names the extra that brings it
if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Claims", "claim_bins", "diagonal", "draw_claims", "wilson"]

#: Finer towards 1, where the claims are.
_EDGES = np.array([0.25, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98])
_MIN_CLAIMS = 5
#: Normal quantile of a two-sided 95% interval.
_Z95 = 1.96


@dataclass(frozen=True, slots=True)
class Claims:
    """Sums over the claims of each bin, shape (n_bins,); those of several runs add up."""

    n: npt.NDArray[np.int64]
    claimed: npt.NDArray[np.float64]
    kept: npt.NDArray[np.float64]

    def __add__(self, other: Claims) -> Claims:
        return Claims(self.n + other.n, self.claimed + other.claimed, self.kept + other.kept)


def claim_bins(claimed: npt.NDArray[np.float64], kept: npt.NDArray[np.float64]) -> Claims:
    """claimed: probabilities; kept: 1 where the job was on time; the same shape (n,)."""
    bins, n_bins = np.digitize(claimed, _EDGES), len(_EDGES) + 1
    return Claims(
        n=np.bincount(bins, minlength=n_bins),
        claimed=np.bincount(bins, claimed, n_bins).astype(np.float64),
        kept=np.bincount(bins, kept, n_bins).astype(np.float64),
    )


def diagonal(axis: Axes, title: str) -> None:
    """An empty panel with the line on which honest claims lie."""
    axis.plot([0, 1], [0, 1], color=INK, linewidth=1)
    axis.set(title=title, xlabel="claimed P(on time)", xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))


def draw_claims(axis: Axes, claims: Claims, colour: str, label: str = "") -> None:
    """A dot for each bin of at least five claims at their mean, with the 95% interval of the observed share."""
    for b in np.flatnonzero(claims.n >= _MIN_CLAIMS):
        n = int(claims.n[b])
        share = float(claims.kept[b]) / n
        low, high = wilson(share, n)
        errors = [[max(0.0, share - low)], [max(0.0, high - share)]]
        axis.errorbar(claims.claimed[b] / n, share, errors, fmt="o", color=colour, markersize=4, label=label)
        label = ""  # named once


def wilson(share: float, n: int) -> tuple[float, float]:
    """95% interval of a binomial share in [0, 1] over n >= 1 trials (Wilson 1927).

    Unlike the normal interval it has a width at 0 and 1, where most classes are.
    """
    z2 = _Z95 * _Z95
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return middle - half, middle + half
