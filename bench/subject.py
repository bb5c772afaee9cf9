"""What is measured: an engine with learned profiles, and the same numbers laid out for the bare loop and arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tailwise as tw

__all__ = ["NOISE", "N_REQUESTS", "Subject"]

N_REQUESTS = 100
LANES = 16
NOISE = 0.1  #: of ln(seconds)
#: Near the fastest lane's service, so that P(on time) spreads over requests and the check of it means something.
DEADLINE_S = 0.006
PATIENCE = DEADLINE_S ** (1 / 3)  # what the class counts for against jobs that wait


@dataclass
class Subject:
    """K resources with 256 slots each (so that open tickets queue nowhere), d = 8 encoded features.

    Without columns: seven features. With: three features, two tracked columns, one reported, one given (or, too,
    reported: then all are stored), and a mask that leaves out every eighth resource.
    """

    n_resources: int
    columns: bool = False
    clock: tw.Clock | None = None
    n_results: int = 520  #: of each resource
    given: bool = True  #: of columns: one comes with the call; the bare loop and arrays know no others

    def __post_init__(self) -> None:
        k = self.n_resources
        self.rng = np.random.default_rng(k)
        n_features = 3 if self.columns else 7
        columns = (
            tw.Column("running", scale=4, tracked="running"),
            tw.Column("waiting", scale=4, tracked="waiting"),
            tw.Column("kv", scale=0.5, reported=True),
            tw.Column("uncached", scale=512, reported=not self.given),
        )
        self.model = tw.Model(
            "m",
            features=tuple(tw.Feature(f"f{i}", typical=4.0) for i in range(n_features)),
            columns=columns if self.columns else (),
        )
        self.engine = tw.Engine(
            [tw.Resource(f"r{i}", slots=256) for i in range(k)],
            [self.model],
            [tw.QoS("q", deadline_s=DEADLINE_S, contract="best_effort")],
            seed=k,
            clock=self.clock,
        )
        self.route = self.engine.route("m", "q")
        uncached = self.rng.uniform(0, 2000, (1, k)) if self.columns else None
        self.Z = uncached if self.given else None
        if uncached is not None and not self.given:
            for i, tokens in enumerate(uncached[0].tolist()):
                self.engine.report(f"r{i}", uncached=tokens)
        self.mask_array = np.arange(k) % 8 != 7 if self.columns else None
        self.mask = (
            None if self.mask_array is None else sum(1 << int(i) for i in np.flatnonzero(self.mask_array))
        )
        self.requests = self.rng.uniform(1.0, 16.0, (N_REQUESTS, n_features))
        self.tuples = [tuple(map(float, row)) for row in self.requests]
        self._learn()

    def _learn(self) -> None:
        """n_results on each resource, each with its own speed and slopes."""
        k = self.n_resources
        slopes = self.rng.normal(0.3, 0.1, (k, self.requests.shape[1]))
        speed = self.rng.normal(np.log(0.005), 0.3, k)
        if self.columns:
            for i in range(k):
                self.engine.report(f"r{i}", kv=float(self.rng.uniform()))
        for _ in range(self.n_results):
            for lane in range(k):
                u = self.rng.uniform(1.0, 16.0, self.requests.shape[1])
                ticket = self.route.select(tuple(map(float, u)), self.Z, mask=1 << lane)
                ln_s = speed[lane] + slopes[lane] @ np.log(u / 4.0) + self.rng.normal(0, NOISE)
                ticket.complete(float(np.exp(ln_s)))

    def select(
        self, rows: Sequence[tuple[float, ...] | NDArray[np.float64]] | None = None
    ) -> list[tw.Ticket]:
        """One pass over the requests, or over these rows; the caller settles the tickets, untimed."""
        select, Z, mask = self.route.select, self.Z, self.mask
        requests = self.tuples if rows is None else rows
        if mask is None:
            return [select(x) for x in requests]
        return [select(x, Z, mask=mask) for x in requests]

    def seconds_of(self, tickets: Sequence[tw.Ticket]) -> list[float]:
        """What each job takes: its median, give or take NOISE. A constant would be found to be a change at first (6
        alarms in 1500 results at K = 8, 18 at 64), and then be all that is believed."""
        medians = np.array([ticket.median_s for ticket in tickets], dtype=np.float64)
        seconds: list[float] = (medians * np.exp(NOISE * self.rng.standard_normal(len(medians)))).tolist()
        return seconds

    def select_many(self) -> list[tw.Ticket]:
        """The same pass as one call."""
        return self.route.select_many(self.requests, self.Z, mask=self.mask)

    @cached_property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """The idle engine's numbers, lanes last, padded to blocks: what every other implementation reads."""
        k = self.n_resources
        served = [self.engine._core.served(0, lane) for lane in range(k)]
        pad = -k % LANES

        def lanes(name: str, fill: float = 0.0) -> NDArray[np.float32]:
            values = np.array([lane[name] for lane in served], dtype=np.float32)
            return np.concatenate([values, np.full((pad, *values.shape[1:]), fill, dtype=np.float32)])

        return {
            "mean": lanes("mean"),
            "factor": np.array([lane["factor"] for lane in served]),
            "scale2": lanes("scale2", 1.0),
            "dof": lanes("dof", 4.0),
            "inv_availability": lanes("inv_availability", np.inf),
            "columns": lanes("columns").T[: -1 if self.columns else None],
            "column_mean": lanes("column_mean").T,
            "wait": np.zeros((4, k + pad)),
            "crowd": np.zeros(k + pad, dtype=np.float32),
            "inv_slots": np.full(k + pad, 1.0 / 256),
            "typical": np.full(self.requests.shape[1], 4.0),
            "n_open": np.zeros(k, dtype=np.int32),
        }
