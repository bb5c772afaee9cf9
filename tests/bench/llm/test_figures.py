"""Bounds and load from what was measured, and what blocks of answers come to."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from bench.llm.calibrate import SCALES, Bounds, Speed, bounds, capacity_per_s
from bench.llm.client import Answer
from bench.llm.figures import Block, ahead, figures, plain, read, tables
from bench.llm.traffic import CLASSES, TURN_TOKENS, Session, Turn

QUICK, SLOW = Speed(200.0, {1: 50.0, 4: 100.0}), Speed(100.0, {1: 25.0, 4: 50.0})
LIMITS = {"chat": Bounds(ttft_s=1.0, tpot_s=0.1), "batch": Bounds(end_s=5.0)}


def answer(kind: str = "chat", first_s: float = 0.5, end_s: float = 1.0, **more: object) -> Answer:
    """Of eleven tokens."""
    return Answer(kind, 0.0, 0.0, first_s, end_s, 11, 100, 40, 200, backend="here:1", **more)


def block(router: str, seed: int, *answers: Answer) -> Block:
    return Block(0.7, seed, router, 10.0, LIMITS, {"here:1": "quick", "here:2": "slow"}, answers)


def test_capacity_is_the_sum_of_what_each_server_does_alone() -> None:
    """100 prompt tokens, 24 of them the template's and 30 the first answer, and 50 of answers: 1 s of one, 2 s of the
    other."""
    tape = [Session("s", "chat", (Turn(0.0, "", 26, 30), Turn(1.0, "", 20, 20)))] * 3
    assert capacity_per_s([QUICK, SLOW], tape) == pytest.approx(1.5)


def test_bounds_are_multiples_of_what_idle_servers_take() -> None:
    made, first = bounds([QUICK, SLOW]), sum(CLASSES["chat"].first) / 2 + TURN_TOKENS
    ttft, tpot = SCALES["chat"]
    assert made["chat"].ttft_s == pytest.approx(ttft * first * (1 / 200 + 1 / 100) / 2, abs=1e-3)
    assert made["chat"].tpot_s == pytest.approx(tpot * (1 / 50 + 1 / 25) / 2, abs=1e-3)
    assert made["chat"].end_s == math.inf
    assert (made["batch"].ttft_s, made["batch"].tpot_s) == (math.inf, math.inf)
    assert made["batch"].end_s < math.inf


@pytest.mark.parametrize(
    ("first_s", "end_s", "kept"),
    [(1.0, 2.0, (True, True)), (1.1, 2.0, (False, True)), (0.5, 1.6, (True, False))],
)
def test_first_token_and_pace_are_judged_apart(first_s: float, end_s: float, kept: tuple[bool, bool]) -> None:
    assert LIMITS["chat"].kept(answer(first_s=first_s, end_s=end_s)) == kept


def test_what_failed_kept_no_bound() -> None:
    assert LIMITS["chat"].kept(answer(error="cut")) == (False, False)
    assert LIMITS["batch"].kept(answer("batch", error="cut")) == (False, False)


def test_blocks_are_pooled_by_their_turns() -> None:
    found = figures(
        [block("a", 1, answer(), answer(first_s=3.0, end_s=4.0)), block("a", 2, answer(error="cut"))]
    )
    assert found.n == 3
    assert (found.ttft, found.tpot, found.both) == pytest.approx((1 / 3, 2 / 3, 1 / 3))
    assert found.failed == pytest.approx(1 / 3)
    assert found.p95_s == math.inf
    assert found.goodput_per_s == pytest.approx(1 / 20)
    assert found.by_server == {"quick": 1.0, "slow": 0.0}
    assert found.cached == pytest.approx(0.4)


def test_a_lead_is_paired_by_tape() -> None:
    """Ahead by 1 on the one tape and by 0 on the other: .5 with an error of .5."""
    late = answer(first_s=2.0, end_s=3.0)
    blocks = [block("a", 1, answer()), block("b", 1, late), block("b", 2, answer()), block("a", 2, answer())]
    gain = ahead(blocks, "a", "b")
    assert (gain.mean, gain.error, gain.n) == pytest.approx((0.5, 0.5, 2))


def test_tables_have_a_row_for_each_router() -> None:
    blocks = [block(name, 1, answer(), answer("batch", streams=False)) for name in ("tailwise", "b")]
    for columns, rows in tables(blocks, "tailwise", ("chat", "batch")):
        assert [row[0] for row in rows] == ["tailwise", "b"]
        assert {len(row) for row in rows} == {len(columns)}


def test_blocks_come_back_from_a_file(tmp_path: Path) -> None:
    blocks = [block("a", 1, answer(), answer(error="cut")), block("b", 1, answer(first_s=math.inf))]
    path = tmp_path / "run.json"
    path.write_text(json.dumps(plain(blocks)))
    found = read(path)
    assert found == [replace(one, answers=list(one.answers)) for one in blocks]
    assert figures(found[:1]).failed == 0.5
