"""No order of events breaks an invariant: short here, a million steps in `make test-long`."""

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.guarantees.life import Life

SHORT = settings(max_examples=100, stateful_step_count=60, deadline=None)
LONG = settings(
    max_examples=100,
    stateful_step_count=400,
    deadline=None,
    derandomize=False,  # the seeds do that
    database=None,
    suppress_health_check=list(HealthCheck),
)

TestShort = Life.TestCase
TestShort.settings = SHORT


@pytest.mark.long
@pytest.mark.parametrize("part", range(40))
def test_a_million_steps_break_no_invariant(part: int) -> None:
    """40 times 100 lives of up to 400 steps, 257 on average (12 s each); Life's invariants assert after every one. In
    one piece they would fill gigabytes: hypothesis remembers all of a run."""
    run_state_machine_as_test(seed(part)(type("Part", (Life,), {})), settings=LONG)
