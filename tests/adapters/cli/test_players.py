"""tailwise with and without the rules of its queues decides alike; only what becomes of queued jobs differs."""

import pytest

import tailwise as tw
from tailwise.adapters.cli.players import NO_RULES, OURS, POLICIES, players
from tailwise.dispatch import Dispatch
from tailwise.errors import UnknownName

QOS = tw.QoS("q", deadline_s=1.5, contract="best_effort")


def new_engine(clock: tw.ManualClock) -> tw.Engine:
    engine = tw.Engine([tw.Resource("cpu"), tw.Resource("gpu")], [tw.Model("m")], [QOS], clock=clock)
    for resource in engine.resources:
        engine.own_queue(resource.name)
    return engine


@pytest.mark.parametrize(("name", "ends"), [(OURS, ("expired", "late_start")), (NO_RULES, (None, None))])
def test_without_rules_a_hopeless_job_starts_and_with_them_it_is_dropped(
    name: str, ends: tuple[str | None, str | None]
) -> None:
    """Each resource is known to take 1 s. Three jobs with 1.5 s each: two start at once, and the third has half a
    second left at its turn."""
    clock = tw.ManualClock()
    policy = players(new_engine(clock), lambda: new_engine(clock), [name], 0)[name]
    dispatch: Dispatch[int] = Dispatch([1, 1], policy)
    for _ in range(40):
        pair = [dispatch.submit(0, "m", QOS, (), clock.now_ns())[0] for _ in range(2)]
        clock.advance(1.0)
        for job in pair:
            dispatch.ended(job.runs[0], "completed", clock.now_ns())
    jobs = [dispatch.submit(k, "m", QOS, (), clock.now_ns())[0] for k in range(3)]
    clock.advance(1.0)
    waits = next(job for job in jobs if job.runs[0].start_ns is None)
    before = next(job for job in jobs if job is not waits and job.runs[0].lane == waits.runs[0].lane)
    dispatch.ended(before.runs[0], "completed", clock.now_ns())
    assert (waits.end, waits.reason) == ends
    assert (waits.runs[0].start_ns is None) == (name == OURS)


def test_each_learns_from_its_own_jobs_alone() -> None:
    clock = tw.ManualClock()
    engines = [new_engine(clock), new_engine(clock)]
    made = players(engines[0], lambda: engines[1], [*POLICIES, NO_RULES], 0)
    assert list(made) == [*POLICIES, NO_RULES]
    assignment = made[NO_RULES].assign("m", "q", (), None)
    made[NO_RULES].started(assignment)
    made[NO_RULES].ended(assignment, "completed", 1.0, 1.0)
    learned = [sum(engine.profile(r.name, "m").n for r in engine.resources) for engine in engines]
    assert learned[0] == 0.0
    assert learned[1] > 0.0


def test_an_unknown_name_is_refused() -> None:
    engine = new_engine(tw.ManualClock())
    with pytest.raises(UnknownName, match=NO_RULES):
        players(engine, lambda: engine, ["best_guess"], 0)
