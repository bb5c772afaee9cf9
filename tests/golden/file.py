"""The golden file: what was chosen, by which version of the kernels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.golden.lives import live

__all__ = ["FILE", "N_LIVES", "load", "play", "store"]

FILE = Path(__file__).with_name("decisions.npz")
N_LIVES = 400

Chosen = NDArray[np.uint8]


def play() -> Chosen:
    """Every life on the path in use: lanes [N_LIVES, decisions of each], or REFUSED. Cost: 5 s."""
    return np.array([live(seed) for seed in range(N_LIVES)], dtype=np.uint8)


def load() -> tuple[str, Chosen]:
    """The path, and what was chosen on it."""
    with np.load(FILE) as kept:
        return str(kept["path"]), kept["chosen"]


def store(path: str, chosen: Chosen) -> None:
    np.savez_compressed(FILE, path=np.array(path), chosen=chosen)
