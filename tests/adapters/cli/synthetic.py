"""Run results made up from a seed, for the tests of figures and page."""

from collections.abc import Sequence

import numpy as np

from tailwise.adapters.cli.results import Block, RunResult, Sighting
from tailwise.adapters.torch import JobRecord
from tailwise.qos import QoS

CLASSES = (
    QoS("interactive", deadline_s=0.05, priority=0, weight=4.0),
    QoS("batch", deadline_s=1.0, on_time=0.5, priority=2, weight=1.0),
)
MODEL = {
    "name": "m<1>",
    "variant_of": None,
    "accuracy": None,
    "given": False,
    "measured": None,
    "measured_of": None,
    "services_s": {"cpu": 0.01, "cpu&old": 0.02},
}
ENDS = ("completed", "completed", "completed", "completed", "expired", "rejected", "failed", "cancelled")


def record(
    qos: QoS,
    *,
    end: str = "completed",
    completion_s: float = 0.01,
    model: str = "m<1>",
    arrival_s: float = 100.0,
) -> JobRecord:
    return JobRecord(
        model=model,
        qos=qos.name,
        resource="cpu",
        end=end,
        arrival_s=arrival_s,
        queue_s=0.5 * completion_s if end == "completed" else completion_s,
        service_s=0.5 * completion_s if end == "completed" else 0.0,
        device_s=0.4 * completion_s if end == "completed" else 0.0,
        copy_s=0.05 * completion_s if end == "completed" else 0.0,
        completion_s=completion_s,
        on_time=end == "completed" and completion_s <= qos.deadline_s,
        expected_s=0.9 * completion_s,
        p_on_time=0.9,
    )


def block(policy: str, records: Sequence[JobRecord], round_: int = 0) -> Block:
    return Block(
        round=round_,
        policy=policy,
        start_s=4.0 * round_,
        seconds=4.0,
        began_s=100.0,
        rate_per_s=50.0,
        records=tuple(records),
        wrong=0,
        lag_s=0.0,
    )


def result(
    policies: Sequence[str] = ("tailwise", "round_robin"), rounds: int = 2, jobs: int = 40
) -> RunResult:
    rng = np.random.default_rng(3)
    made = RunResult(
        machine={"machine": "x86", "cores": 2, "python": "3", "torch": "2", "capability": "AVX2"},
        seed=3,
        seconds=8.0,
        load=0.8,
        qos=CLASSES,
        resources=[{"name": "cpu", "slots": 1}, {"name": "cpu&old", "slots": 1}],
        models=[MODEL],
    )
    for round_ in range(rounds):
        for policy in policies:
            records = [
                record(
                    CLASSES[int(rng.integers(2))],
                    end=str(rng.choice(ENDS)),
                    completion_s=float(rng.lognormal(-4, 1)),
                    arrival_s=100.0 + float(rng.uniform(0, 4)),
                )
                for _ in range(jobs)
            ]
            made.blocks.append(block(policy, records, round_))
    made.sightings += [Sighting(0.25 * k, "cpu", "m<1>", float(k), 0.005, 0.01, 0.02) for k in range(10)]
    return made
