"""A job submitted for a family: the class's bound filters its variants, the posterior chooses among the others."""

import time
from collections.abc import Iterator

import pytest
import torch

import tailwise as tw
from tailwise.adapters.torch import Executor, Thread
from tailwise.errors import JobRejected


class Works:
    """A variant: so many milliseconds of work."""

    def __init__(self, milliseconds: float) -> None:
        self.seconds = 1e-3 * milliseconds

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        time.sleep(self.seconds)  # stands for the work itself
        return x


@pytest.fixture
def executor() -> Iterator[Executor]:
    engine = tw.Engine(
        [tw.Resource("cpu")],
        [
            tw.Model("fp32", variant_of="net", accuracy=0.9),
            tw.Model("int8", variant_of="net", accuracy=0.7),
        ],
        [
            tw.QoS("any", 60.0),
            tw.QoS("exact", 60.0, min_accuracy=0.8),
            tw.QoS("more", 60.0, min_accuracy=0.95),
        ],
        seed=1,
    )
    with Executor(
        engine,
        {"fp32": Works(30.0), "int8": Works(1.0)},
        {"cpu": Thread()},
        features={"net": lambda inputs: ()},
        warmup_calls=0,
    ) as executor:
        yield executor


def ran(executor: Executor, qos: str) -> str:
    future = executor.submit("net", qos, torch.zeros(1))
    future.result(60)
    assert future.record is not None
    return future.record.model


def test_the_fastest_variant_is_chosen_where_nothing_bounds_it(executor: Executor) -> None:
    tried = {ran(executor, "any") for _ in range(2)}
    assert tried == {"fp32", "int8"}
    assert [ran(executor, "any") for _ in range(10)].count("int8") >= 9


def test_min_accuracy_filters(executor: Executor) -> None:
    assert {ran(executor, "exact") for _ in range(5)} == {"fp32"}


def test_no_variant_that_is_accurate_enough_is_a_refusal_that_says_so(executor: Executor) -> None:
    with pytest.raises(JobRejected, match="accuracy"):
        executor.submit("net", "more", torch.zeros(1)).result(60)
