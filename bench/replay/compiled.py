"""How the simulator is compiled: cached, without reference counts, and never from a stale cache."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path

import numba
from numba import njit

__all__ = ["compiled", "compiled_as"]

_HERE = Path(__file__).parent
# What compiled functions of other files inline. Numba's cache notices a change of a function's own file only, so
# that a policy would go on with the wait of yesterday: the name of the cache's folder is a digest of these.
_SHARED = (
    "baselines/candidates",
    "breaker",
    "compiled",
    "face",
    "foresight",
    "heap",
    "outcome",
    "queueing",
    "queues",
    "serving",
    "state",
    "world",
)


def _digest() -> str:
    text = b"".join((_HERE / f"{name}.py").read_bytes() for name in _SHARED)
    return hashlib.sha256(text).hexdigest()[:12]


numba.config.CACHE_DIR = str(_HERE / "__pycache__" / f"numba-{_digest()}")
# policies are first-class functions, so that the loop is compiled once for all of them: that is what we want
warnings.filterwarnings("ignore", category=numba.NumbaExperimentalFeatureWarning)

#: Arrays live in `State` and `View`, outside: counting references to them took more than half of the time.
compiled = njit(cache=True, _nrt=False)


def compiled_as(signature):  # type: ignore[no-untyped-def]
    """The same at once, for one signature: what a first-class function needs."""
    return njit(signature, cache=True, _nrt=False)
