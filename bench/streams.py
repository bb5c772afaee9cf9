"""Two signals, both bounded, and a column given with the call: tailwise, and streams.c over the same numbers."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

import tailwise as tw
from bench.bare import FLAGS
from bench.compiled import compiled
from bench.subject import LANES, N_REQUESTS
from tailwise._core.core import path

__all__ = ["BareStreams", "Streams"]

#: Near the fastest lanes' first token and pace, so that some lanes keep both and others do not.
TTFT_S, TPOT_S = 0.1, 0.009
ON_TIME = 0.9
SCALE = 512.0
N_RESULTS = 120

_BY_SIGNAL = ("mean", "factor", "scale2", "dof", "inv_availability", "column_mean", "column_var")
_BY_LANE = ("columns", "crowd")
_WAITS = ("residual_s", "slope", "since_s", "ahead_s", "inv_slots", "wait_var", "promised_s")
_BOUNDS = ("given_scale", "ttft_s", "tpot_s", "on_time", "patience")


class Streams:
    """K replicas that run 256 answers each; d = 6: intercept, two features, two tracked columns, one given."""

    mask = None

    def __init__(self, n_resources: int, clock: tw.Clock | None = None) -> None:
        k = self.n_resources = n_resources
        self.clock = clock
        rng = np.random.default_rng(k)
        self.model = tw.Model(
            "m",
            features=(tw.Feature("prompt_tokens", typical=512.0), tw.Feature("images", typical=4.0)),
            columns=(
                tw.Column("running", scale=4, tracked="running"),
                tw.Column("waiting", scale=4, tracked="waiting"),
                tw.Column("uncached", scale=SCALE),
            ),
            signals=("ttft", "tpot"),
        )
        qos = tw.QoS("q", ttft_s=TTFT_S, tpot_s=TPOT_S, on_time=ON_TIME, contract="best_effort")
        self.engine = tw.Engine(
            [tw.Resource(f"r{i}", slots=256) for i in range(k)], [self.model], [qos], seed=k, clock=clock
        )
        self.route = self.engine.route("m", "q")
        self.Z = rng.uniform(0.0, 2000.0, (1, k))
        self.requests = np.stack([rng.uniform(64, 2048, N_REQUESTS), rng.uniform(1, 16, N_REQUESTS)], axis=1)
        self.tuples = [tuple(map(float, row)) for row in self.requests]
        # who reads fast writes slowly, so that neither bound is kept by the nearest alone
        speed = (
            np.log([0.03, 0.007]) + rng.normal(0.0, 0.2, (k, 1)) * [1.0, -0.7] + rng.normal(0.0, 0.05, (k, 2))
        )
        for _ in range(N_RESULTS):
            u, Z = (rng.uniform(64, 2048), rng.uniform(1, 16)), rng.uniform(0.0, 2000.0, (1, k))
            for lane in range(k):
                size = 0.3 * np.log(u[0] / 512) + 0.1 * np.log(u[1] / 4) + 0.3 * np.log1p(Z[0, lane] / SCALE)
                ttft_s, tpot_s = np.exp(speed[lane] + [size, 0.05 * size] + rng.normal(0.0, 0.1, 2))
                ticket = self.route.select(u, Z, mask=1 << lane)
                ticket.first(float(ttft_s))
                ticket.complete(float(ttft_s + 99 * tpot_s), tokens=100)

    def select(self) -> list[tw.Ticket]:
        """One pass over the requests; the caller settles the tickets, untimed."""
        select, Z = self.route.select, self.Z
        return [select(x, Z) for x in self.tuples]

    def disagreements(self, bare: BareStreams) -> int:
        """On how many requests the bare loop takes none of the best (2e-4), or says a P that is 1e-4 off."""
        wrong = 0
        for u, x in zip(self.requests, self.tuples, strict=True):
            lane, p = bare.decide(u)
            ranked = {self.engine.lane(c.resource.name): c for c in self.route.peek(x, self.Z)}
            left = ranked or {
                self.engine.lane(c.resource.name): c for c in self.route.peek(x, self.Z).excluded
            }
            best = min(c.rank_s for c in left.values())
            agrees = lane in left and left[lane].rank_s <= best * (1 + 2e-4)
            wrong += not (agrees and abs(left[lane].p_raw - p) < 1e-4)
        return wrong


class _Decision(ctypes.Structure):
    _fields_ = (
        [(name, ctypes.c_int) for name in ("n_lanes", "n_blocks", "d", "n_columns")]
        + [(name, ctypes.c_void_p * 2) for name in _BY_SIGNAL]
        + [(name, ctypes.c_void_p) for name in (*_BY_LANE, *_WAITS, "typical", "n_open")]
        + [(name, ctypes.c_double) for name in _BOUNDS]
    )


class BareStreams:
    """streams.c over the numbers of the idle engine."""

    def __init__(self, subject: Streams) -> None:
        k, d, n_columns = subject.n_resources, subject.model.d, len(subject.model.columns)
        width = k + -k % LANES
        self._library = compiled("streams.c", f".{path()}", FLAGS[path()])
        self._library.streams_time.restype = ctypes.c_double
        served = [[subject.engine._core.served(0, lane, s) for lane in range(k)] for s in range(2)]
        float32 = {name: [_by_lane(of, name, width) for of in served] for name in (*_BY_SIGNAL, "columns")}
        waits = {name: np.zeros(width) for name in _WAITS}
        waits["inv_slots"] += 1.0 / 256
        waits["promised_s"] += np.inf
        self._kept: list[NDArray[np.generic]] = []
        self._decision = _Decision(
            n_lanes=k, n_blocks=width // LANES, d=d, n_columns=n_columns, given_scale=SCALE, ttft_s=TTFT_S,
            tpot_s=TPOT_S, on_time=ON_TIME, patience=TTFT_S ** (1 / 3),
            columns=self._address(float32.pop("columns")[0]),
            crowd=self._address(np.zeros(width, dtype=np.float32)),
            typical=self._address(np.array([512.0, 4.0])),
            n_open=self._address(np.zeros(k, dtype=np.int32)),
            **{name: self._address(values) for name, values in waits.items()},
            **{name: (ctypes.c_void_p * 2)(*map(self._address, of)) for name, of in float32.items()},
        )  # fmt: skip
        self._requests, self._given = np.ascontiguousarray(subject.requests), subject.Z

    def decide(self, u: NDArray[np.float64]) -> tuple[int, float]:
        """(lane, P(both bounds hold)) of one request."""
        p = ctypes.c_double()
        lane = self._library.streams_decide(
            ctypes.byref(self._decision), self._address(u), self._address(self._given), ctypes.c_double(1.0),
            ctypes.byref(p),
        )  # fmt: skip
        return lane, p.value

    def pass_ns(self) -> float:
        """Nanoseconds per decision over one pass of the requests, timed in C."""
        checksum = ctypes.c_double()
        ns: float = self._library.streams_time(
            ctypes.byref(self._decision), self._address(self._requests), N_REQUESTS, self._address(self._given),
            ctypes.byref(checksum),
        )  # fmt: skip
        return ns

    def _address(self, array: NDArray[np.generic]) -> ctypes.c_void_p:
        self._kept.append(array)
        return ctypes.c_void_p(array.ctypes.data)


def _by_lane(served: Sequence[dict[str, NDArray[np.float32]]], name: str, width: int) -> NDArray[np.float32]:
    """[width] of numbers, [n_blocks, rows, LANES] of a mean or a factor, [columns, width] of columns."""
    fill = {"scale2": 1.0, "dof": 4.0, "inv_availability": np.inf}.get(name, 0.0)
    values = np.array([lane[name] for lane in served], dtype=np.float32)
    padded = np.full((width, *values.shape[1:]), fill, dtype=np.float32)
    padded[: len(values)] = values
    if name in ("mean", "factor"):
        padded = padded.reshape(width // LANES, LANES, -1).transpose(0, 2, 1)
    elif padded.ndim == 2:
        padded = padded.T
    return np.ascontiguousarray(padded)
