"""No order of events breaks an invariant: short here, a million steps in `make test-long`."""

import pytest
from hypothesis import HealthCheck, settings

from tests.guarantees.life import Life

SHORT = settings(max_examples=100, stateful_step_count=60, deadline=None)
LONG = settings(
    max_examples=2500, stateful_step_count=400, deadline=None, suppress_health_check=list(HealthCheck)
)

TestShort = Life.TestCase
TestShort.settings = SHORT


class LongLife(Life):
    """The same machine, for minutes."""


@pytest.mark.long
class TestLong(LongLife.TestCase):  # type: ignore[misc,name-defined]
    """1e6 steps."""


TestLong.settings = LONG
