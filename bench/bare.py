"""Calls bare.c."""

from __future__ import annotations

import ctypes

import numpy as np
from numpy.typing import NDArray

from bench.compiled import compiled
from bench.subject import DEADLINE_S, LANES, N_REQUESTS, PATIENCE, Subject
from tailwise._core.core import path

__all__ = ["Bare"]

POINTERS = ("mean", "factor", "columns", "column_mean", "scale2", "dof", "inv_availability", "crowd")
WAITS = ("residual_s", "slope", "since_s", "ahead_s")


class _Decision(ctypes.Structure):
    _fields_ = (
        [(name, ctypes.c_int) for name in ("n_lanes", "n_blocks", "d", "n_columns", "n_given")]
        + [(name, ctypes.c_void_p) for name in (*POINTERS, *WAITS, "inv_slots", "typical", "claims")]
        + [(name, ctypes.c_void_p) for name in ("queued_s", "n_open", "mask")]
        + [("given_scale", ctypes.c_double), ("deadline_s", ctypes.c_double), ("patience", ctypes.c_double)]
    )


#: By the version of the kernels that the package runs: the loop is compiled for the same instructions.
FLAGS = {
    "plain": ("-DTW_WIDTH=4",),
    "avx2": ("-DTW_WIDTH=8", "-march=x86-64-v3"),
    "avx512": ("-DTW_WIDTH=16", "-march=x86-64-v4", "-mprefer-vector-width=512"),
}


def _library() -> ctypes.CDLL:
    library = compiled("bare.c", f".{path()}", FLAGS[path()])
    library.bare_time.restype = ctypes.c_double
    return library


class Bare:
    """The bare loop over one subject's numbers."""

    def __init__(self, subject: Subject) -> None:
        arrays = dict(subject.arrays)
        n_blocks = len(arrays["mean"]) // LANES
        d = subject.model.d
        arrays["mean"] = arrays["mean"].reshape(n_blocks, LANES, d).transpose(0, 2, 1)
        if subject.mask_array is not None:
            arrays["mask"] = subject.mask_array.astype(np.uint8)
        arrays["claims"] = subject.engine._core.claims(0)["value"]
        arrays["queued_s"] = np.zeros(subject.n_resources)
        arrays |= dict(zip(WAITS, arrays.pop("wait"), strict=True))
        self._kept = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        self._library = _library()
        self._decision = _Decision(
            n_lanes=subject.n_resources,
            n_blocks=n_blocks,
            d=d,
            n_columns=len(subject.model.columns),
            n_given=int(subject.columns),
            given_scale=512.0,
            deadline_s=DEADLINE_S,
            patience=PATIENCE,
            **{name: array.ctypes.data for name, array in self._kept.items()},
        )
        self._requests = np.ascontiguousarray(subject.requests)
        self._given = np.zeros(1) if subject.Z is None else subject.Z

    def decide(self, u: NDArray[np.float64]) -> tuple[int, float]:
        """(lane, P(on time)) of one request."""
        p, claim = ctypes.c_double(), ctypes.c_double()
        lane = self._library.bare_decide(
            ctypes.byref(self._decision),
            _address(u),
            _address(self._given),
            ctypes.c_double(1.0),
            ctypes.byref(p),
            ctypes.byref(claim),
        )
        return lane, p.value

    def pass_ns(self) -> float:
        """Nanoseconds per decision over one pass of the requests, timed in C."""
        checksum = ctypes.c_double()
        ns: float = self._library.bare_time(
            ctypes.byref(self._decision), _address(self._requests), N_REQUESTS, _address(self._given),
            ctypes.byref(checksum),
        )  # fmt: skip
        return ns


def _address(array: NDArray[np.float64]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)
