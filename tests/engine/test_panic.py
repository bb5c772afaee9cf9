"""How many resources may be out at once, and what happens without health."""

from itertools import pairwise

import pytest

import tailwise as tw
from tests.engine.breaker import HEALTH, PATIENT, engine, fail, pick, state, wait_out


@pytest.mark.parametrize(("k", "share"), [(1, 0.5), (2, 0.5), (4, 0.5), (5, 0.4), (4, 1.0), (4, 0.0)])
def test_at_most_the_stated_share_of_candidates_is_out_for_a_model(k: int, share: float) -> None:
    """All fail. What is out gets no job while its backoff lasts, so the others, at least k - share k, get them."""
    e, _ = engine(k, tw.Health(backoff_s=1e3, max_backoff_s=1e3, max_ejected=share))
    for lane in range(k):
        fail(e, lane, 3)
        assert state(e, f"r{lane}") == "open"
    n_open = sum(bool(e.route("m", "patient").peek((), mask=1 << lane)) for lane in range(k))
    assert n_open == k - int(share * k)


def test_a_resource_that_asked_to_be_left_alone_is_left_alone_even_when_most_are_out() -> None:
    e, _ = engine(4)
    fail(e, 1, 1, retry_after_s=60.0)
    for lane in (0, 2, 3):
        fail(e, lane, 3)
    assert {pick(e).resource.name for _ in range(100)} <= {"r0", "r2", "r3"}


def test_the_share_counts_each_models_own_candidates() -> None:
    """r0 is the only resource of `lonely`: out for the other model, it still takes lonely's jobs."""
    clock = tw.ManualClock()
    models = [tw.Model("m"), tw.Model("lonely", resources=("r0",))]
    e = tw.Engine(
        [tw.Resource(f"r{i}") for i in range(4)], models, [PATIENT], clock=clock, seed=1, health=HEALTH
    )
    fail(e, 0, 3)
    assert all(pick(e).resource.name != "r0" for _ in range(50))
    assert e.route("lonely", "patient").select(()).resource.name == "r0"


def test_a_success_on_a_pardoned_resource_closes_its_breaker() -> None:
    e, clock = engine(1)
    fail(e, 0, 3)
    clock.advance(0.1)
    assert state(e) == "open"
    pick(e).complete(0.1)
    assert state(e) == "closed"


def test_without_health_only_retry_after_takes_a_resource_out() -> None:
    e, clock = engine(health=None)
    fail(e, 0, 100)
    assert state(e) == "closed"
    fail(e, 1, 1, retry_after_s=5.0)
    assert state(e, "r1") == "open"
    clock.set(5.0)
    pick(e).fail()
    assert state(e, "r1") == "closed"


def test_same_seed_same_backoffs() -> None:
    def backoffs(seed: int) -> list[float | None]:
        e, clock = engine(seed=seed)
        fail(e, 0, 3)
        out = []
        for _ in range(5):
            out.append(e.health("r0").until_s)
            wait_out(e, clock)
            pick(e).fail()
        return out

    assert backoffs(7) == backoffs(7)
    assert backoffs(7) != backoffs(8)
    assert all(a < b for a, b in pairwise(b for b in backoffs(7) if b is not None))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("consecutive_failures", 0),
        ("consecutive_failures", 2.5),
        ("min_success", 1.0),
        ("min_success", -0.1),
        ("max_ejected", 1.1),
        ("backoff_s", 0.0),
        ("backoff_s", 60.0),
        ("max_backoff_s", float("inf")),
    ],
)
def test_health_out_of_range_is_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(
        tw.ConfigError, match=name if (name, value) != ("backoff_s", 60.0) else "max_backoff_s"
    ):
        tw.Health(**{name: value})
