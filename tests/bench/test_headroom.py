"""The benchmark of headroom: where a share crosses its target, and a world of each kind told about right."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.headroom import batching, grid
from bench.headroom.crossing import fails_at, row


def test_where_a_share_fails_lies_on_the_line_between_two_loads() -> None:
    assert fails_at([1.0, 2.0, 3.0], [1.0, 0.9, 0.5], 0.8) == pytest.approx(2.25)
    assert math.isnan(fails_at([1.0, 2.0], [1.0, 0.9], 0.8))


def test_a_line_has_what_was_told_over_what_was_played() -> None:
    line = row("batch", np.array([2.0, 4.0]), np.array([[1.0], [4.0]]))
    assert line == "| batch | 3 | 0.75 (0.50-1.00) |"


def test_of_a_fleet_at_two_thirds_of_its_capacity_each_class_is_told_about_where_it_fails() -> None:
    """Played with seed 1 the classes fail at 3.05, 1.78 and 1.16 (bench/README.md has how far others are off)."""
    told = grid.foretold((0.65, 1))
    for name, fails in (("interactive", 3.05), ("standard", 1.78), ("batch", 1.16)):
        assert 0.75 * fails < told[name] < 1.45 * fails


def test_of_replicas_at_half_of_what_they_bear_it_is_told_about_where_they_fail() -> None:
    """Played with seed 1 it is 35 sessions a second."""
    assert 0.6 * 35.0 < batching.foretold((16.0, 1)) < 1.4 * 35.0
