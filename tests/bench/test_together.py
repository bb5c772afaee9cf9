"""What serving jobs together is worth, in seconds of the simulation that `python -m bench.together` plays."""

from __future__ import annotations

import pytest

from bench import together

WAYS = {way.name: way for way in together.WAYS}


def played(name: str, scene: together.Scene) -> together.Outcome:
    return together.Play(WAYS[name], scene, 0).run()


def test_together_a_resource_serves_twice_what_it_serves_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """One by one half of it fits, and what is served after the last arrival; together it is a third of what fits."""
    monkeypatch.setattr(together, "DURATION_S", 8.0)
    scene = together.Scene(1, 0.0004, 2.0)
    assert played("one by one", scene).goodput < 75.0
    out = played("together", scene)
    assert out.goodput > 97.0
    assert out.size > 1.5


def test_no_batch_is_so_large_that_its_urgent_jobs_are_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where items are dear, a full batch takes 136 ms and the interactive class has 50."""
    monkeypatch.setattr(together, "DURATION_S", 8.0)
    scene = together.Scene(1, 0.002, 4.0)
    sized, filled = played("together", scene), played("together, as many as fit", scene)
    assert filled.missed > 2.0 * sized.missed
    assert filled.size > 1.5 * sized.size


def test_jobs_are_played_and_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "DURATION_S", 6.0)
    for name in WAYS:
        play = together.Play(WAYS[name], together.Scene(2, 0.0004, 2.0), 1)
        out = play.run()
        assert all(0 <= on_time <= offered for on_time, offered in zip(out.on_time, out.offered, strict=True))
        assert len(play.dispatch) == 0
