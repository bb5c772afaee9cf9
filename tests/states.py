"""Random engines in random states beside their plain record: what tests of kernels and rules start from."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

import tailwise as tw
from tailwise._core import reference as ref
from tests.twin import LEVELS, Job, Twin

MODEL = tw.Model(
    "m",
    features=(tw.Feature("size", typical=8.0, knee=True), tw.Feature("n")),
    columns=(
        tw.Column("busy", scale=4.0, tracked="running"),
        tw.Column("kv", scale=1.0, reported=True),
        tw.Column("own", scale=2.0),
        tw.Column("line", scale=4.0, tracked="waiting"),
    ),
)
BENT = tw.Model(  # the same numbers with squares, products, and a column that adds what is given
    "m",
    features=MODEL.features,
    columns=(
        tw.Column("busy", scale=4.0, tracked="running", square=True, times="size"),
        tw.Column("kv", scale=1.0, reported=True, times="n"),
        tw.Column("own", scale=2.0, square=True),
        tw.Column("line", scale=4.0, tracked="waiting", plus="own"),
    ),
)


def plain_model(n_features: int, n_columns: int = 0) -> tw.Model:
    """z = ln u, so that u = exp(z) encodes to z; a report of exp(c) - 1 encodes to c."""
    features = tuple(tw.Feature(f"f{i}", typical=1.0) for i in range(n_features))
    return tw.Model("m", features, tuple(tw.Column(f"c{i}", 1.0, reported=True) for i in range(n_columns)))


SIZES = st.sampled_from([1, 2, 8, 16, 17, 64, 65, 100])  # a block has 16 lanes, a mask word 64
SEEDS = st.integers(0, 2**32 - 1)


def random_resources(k: int, rng: np.random.Generator) -> list[tw.Resource]:
    return [
        tw.Resource(
            f"r{i}",
            slots=int(rng.integers(1, 4)),
            discipline="priority" if rng.random() < 0.5 else "fifo",
            offset_s=float(rng.choice([0.0, rng.exponential(0.01)])),
        )
        for i in range(k)
    ]


def random_request(k: int, rng: np.random.Generator) -> tuple[tuple[float, float], np.ndarray]:
    Z = rng.exponential(4.0, (1, k))
    Z[rng.random((1, k)) < 0.3] = np.nan
    return (float(8 * np.exp(rng.normal())), float(rng.exponential(20.0))), Z


def random_state(k: int, seed: int, qos: Sequence[tw.QoS] = LEVELS) -> tuple[Twin, np.random.Generator]:
    """Some lanes trained, some failed, some given, some untouched; tickets open in every stage."""
    rng = np.random.default_rng(seed)
    resources = random_resources(k, rng)
    profiles = [
        tw.Profile(r.name, "m", float(rng.exponential(0.1)), 0.5, 4.0)
        for r in resources
        if rng.random() < 0.1
    ]
    model = BENT if rng.random() < 0.5 else MODEL
    if k > 2 and rng.random() < 0.3:
        names = [r.name for r in resources if rng.random() < 0.8] or ["r0"]
        model = tw.Model("m", model.features, model.columns, resources=tuple(names))
        profiles = [p for p in profiles if p.resource in names]
    twin = Twin(model, resources, qos=qos, profiles=profiles, seed=seed)
    lanes = [i for i, r in enumerate(resources) if model.resources is None or r.name in model.resources]
    lanes = [lane for lane in lanes if rng.random() < 0.8] or lanes[:1]
    speed = rng.normal(-3.0, 0.7, k)
    for _ in range(3 * len(lanes)):
        lane = int(rng.choice(lanes))
        twin.report(lane, kv=float(rng.choice([np.nan, rng.exponential(2.0)])))
        u, Z = random_request(k, rng)
        own = 0.0 if np.isnan(Z[0, lane]) else math.log1p(Z[0, lane] / 2.0)
        ln_s = speed[lane] + 0.3 * math.log(u[0]) + 0.4 * own + rng.normal(0, 0.2)
        twin.learn(lane, u, math.exp(ln_s), Z)
        if rng.random() < 0.1:
            twin.fail(twin.select(u, mask=1 << lane))
    jobs: list[Job] = []
    for _ in range(int(rng.integers(0, 3 * k + 1))):
        u, Z = random_request(k, rng)
        jobs.append(twin.select(u, int(rng.choice([0, 3])), Z))
        twin.advance(float(rng.exponential(0.02)))
        if rng.random() < 0.4:
            twin.start(jobs[-1])
        if rng.random() < 0.2:
            twin.cancel(jobs.pop(int(rng.integers(len(jobs)))))
    for job in [job for lane_jobs in twin.jobs for job in lane_jobs]:
        # past 7 s the kernel's residual is Mills' approximation, which test_wait.py holds to its own bound
        if job.start_s is not None and twin.now_s - job.start_s > math.exp(
            job.m + 6.5 * ref.moment_spread(job.s)
        ):
            twin.cancel(job)
    return twin, rng


def decided_now(k: int, seed: int) -> tuple[Twin, np.random.Generator, tuple[float, float], np.ndarray, int]:
    """A random state, a request (u, Z) and its level; each candidate's line of residuals is drawn at this moment, so
    that its wait is the reference's."""
    twin, rng = random_state(k, seed)
    for lane, resource in enumerate(twin.resources):
        if twin.model.resources is None or resource.name in twin.model.resources:
            twin.redraw(lane, (8.0, 1.0))
    u, Z = random_request(k, rng)
    return twin, rng, u, Z, int(rng.choice([0, 3]))


def random_mask(k: int, rng: np.random.Generator, usable: np.ndarray) -> int | None:
    if rng.random() < 0.4:
        return None
    bits = rng.random(k) < 0.6
    bits[rng.choice(np.flatnonzero(usable))] = True
    return int(sum(1 << int(i) for i in np.flatnonzero(bits)))
