"""Which queued job runs, where and when: the clock-free class under executor, gateway and replay."""

from collections.abc import Sequence

import pytest

import tailwise as tw
from tailwise.dispatch import Dispatch
from tailwise.errors import ConfigError
from tailwise.job import Job, Orders
from tailwise.policy import Assignment, End
from tests.engine.script import Script

SECOND = 1_000_000_000
URGENT = tw.QoS("urgent", 10.0, priority=0)
BATCH = tw.QoS("batch", 100.0, priority=2)


class Play:
    """A dispatch whose orders are carried out by writing them down: which payloads were started, which ended."""

    def __init__(self, policy: object, slots: Sequence[int] = (1, 1), rules: tw.Rules | None = None) -> None:
        self.dispatch: Dispatch[str] = Dispatch(slots, policy, rules=rules)  # type: ignore[arg-type]
        self.started: list[tuple[str, int]] = []
        self.runs: dict[tuple[str, int], object] = {}
        self.jobs: dict[str, Job[str]] = {}

    def submit(self, name: str, at_s: float = 0.0, qos: tw.QoS = BATCH) -> Job[str]:
        job, orders = self.dispatch.submit(name, "m", qos, (), round(at_s * SECOND))
        self.jobs[name] = job
        self.carry_out(orders)
        return job

    def end(self, name: str, lane: int, at_s: float, how: str = "completed", **more: bool) -> None:
        run = self.runs.pop((name, lane))
        self.carry_out(self.dispatch.ended(run, how, round(at_s * SECOND), **more))  # type: ignore[arg-type]

    def due(self, at_s: float) -> None:
        self.carry_out(self.dispatch.due(round(at_s * SECOND)))

    def carry_out(self, orders: Orders[str]) -> None:
        for run in orders.start:
            self.started.append((run.job.payload, run.lane))
            self.runs[run.job.payload, run.lane] = run

    def waiting(self, lane: int) -> list[str]:
        return [run.job.payload for run in self.dispatch.queued(lane)]


def test_a_job_starts_at_once_on_a_free_slot_and_queues_otherwise() -> None:
    play = Play(Script())
    play.submit("a")
    play.submit("b")
    assert play.started == [("a", 0)]
    assert play.waiting(0) == ["b"]
    play.end("a", 0, 1.0)
    assert play.started == [("a", 0), ("b", 0)]
    assert play.dispatch.next_due_ns() is None  # nothing that was set while it waited
    assert play.jobs["a"].end == "completed"
    assert play.jobs["b"].end is None
    assert len(play.dispatch) == 1


def test_a_refused_job_occupies_nothing_and_names_its_reason() -> None:
    play = Play(Script(refuses="late"))
    job = play.submit("a")
    assert (job.end, job.reason) == ("rejected", "late")
    assert play.started == []
    assert len(play.dispatch) == 0


def test_a_queued_job_expires_at_its_deadline() -> None:
    play = Play(Script(wait=1e9))
    play.submit("a")
    play.submit("b", qos=URGENT)
    play.due(9.99)
    assert play.jobs["b"].end is None
    assert play.dispatch.next_due_ns() == 10 * SECOND
    play.due(10.0)
    assert (play.jobs["b"].end, play.jobs["b"].reason) == ("expired", "expired")
    assert play.waiting(0) == []


@pytest.mark.parametrize("rules", [tw.Rules(), tw.Rules(start_test=False)])
def test_a_job_that_waited_and_fails_the_start_test_is_dropped_at_its_turn(rules: tw.Rules) -> None:
    script = Script(passes=False)
    play = Play(script, rules=rules)
    play.submit("a")  # starts at once: admission has just judged it
    play.submit("b")
    play.submit("c")
    script.passes = False
    play.end("a", 0, 1.0)
    if rules.start_test:
        assert [play.jobs[n].reason for n in "bc"] == ["late_start", "late_start"]
        assert [play.jobs[n].end for n in "bc"] == ["expired", "expired"]
        assert play.started == [("a", 0)]
    else:
        assert play.started == [("a", 0), ("b", 0)]


def test_priority_0_can_be_spared_the_start_test() -> None:
    play = Play(Script(passes=False, hedge_at=1e9), rules=tw.Rules(spare_urgent=True))
    play.submit("a")
    play.submit("u", qos=URGENT)
    play.submit("b")
    play.end("a", 0, 1.0)
    assert play.started == [("a", 0), ("u", 0)]
    play.end("u", 0, 2.0)
    assert play.jobs["b"].reason == "late_start"


@pytest.mark.parametrize("rules", [tw.Rules(), tw.Rules(re_decide=False)])
def test_a_job_still_queued_at_its_predicted_start_is_reconsidered(rules: tw.Rules) -> None:
    script = Script(wait=2.0, moves_to=1)
    play = Play(script, rules=rules)
    play.submit("a")
    play.submit("b", at_s=0.5)
    play.due(2.49)
    assert play.waiting(0) == ["b"]
    play.due(2.5)
    if rules.re_decide:
        assert play.started == [("a", 0), ("b", 1)]  # the other resource had a free slot
        assert play.jobs["b"].n_moves == 1
    else:
        assert play.waiting(0) == ["b"]
        assert play.dispatch.next_due_ns() == play.jobs["b"].deadline_ns


def test_one_that_stays_is_looked_at_again_at_its_new_predicted_start_and_never_in_a_loop() -> None:
    script = Script(wait=2.0)
    play = Play(script)
    play.submit("a")
    play.submit("b")
    play.due(2.0)  # still predicted for 2 s: in the past by now
    assert script.masks == [0b11]
    assert play.dispatch.next_due_ns() == 2 * SECOND + 1_000_000
    script.wait = 5.0
    play.due(2.5)
    assert play.dispatch.next_due_ns() == 5 * SECOND


def test_the_whole_queue_of_a_disturbed_resource_is_reconsidered() -> None:
    script = Script(wait=50.0)
    play = Play(script)
    for name in "abcd":
        play.submit(name)
    script.moves_to, script.lanes = 1, 0b01
    play.end("a", 0, 1.0, "failed")
    assert play.started == [("a", 0), ("b", 1)]
    assert play.waiting(0) == []
    assert play.waiting(1) == ["c", "d"]


def test_a_disturbance_is_heeded_when_the_clock_looks_too() -> None:
    """Nothing ended since: the alarm may come of a job that another owner of the engine sent."""
    script = Script(wait=50.0)
    play = Play(script)
    for name in "ab":
        play.submit(name)
    script.moves_to, script.lanes = 1, 0b01
    play.due(1.0)
    assert play.started == [("a", 0), ("b", 1)]


def test_a_job_that_was_looked_at_early_is_not_looked_at_at_its_old_moment_too() -> None:
    script = Script(wait=20.0)
    play = Play(script)
    for name in "ab":
        play.submit(name)
    script.wait = 40.0
    play.carry_out(play.dispatch.look_again(0b01, SECOND))
    assert play.dispatch.next_due_ns() == 40 * SECOND
    play.due(20.0)
    assert script.masks == [0b11]
    play.due(40.0)
    assert script.masks == [0b11, 0b11]


def test_a_queue_is_looked_at_again_when_its_owner_says_so() -> None:
    script = Script(wait=50.0)
    play = Play(script)
    play.submit("a")
    play.submit("b")
    script.moves_to = 1
    play.carry_out(play.dispatch.look_again(0b01, SECOND))
    assert play.started == [("a", 0), ("b", 1)]


def test_a_cancelled_job_leaves_its_queue_and_one_that_runs_goes_on() -> None:
    play = Play(Script())
    play.submit("a")
    play.submit("b")
    play.carry_out(play.dispatch.cancel(play.jobs["b"], SECOND))
    play.carry_out(play.dispatch.cancel(play.jobs["a"], SECOND))
    assert play.jobs["b"].end == "cancelled"
    assert play.jobs["a"].end is None
    assert len(play.dispatch) == 1


def test_a_lost_slot_takes_no_job_until_it_is_free_again() -> None:
    play = Play(Script(wait=50.0))
    play.submit("a")
    play.submit("b")
    play.end("a", 0, 1.0, "failed", slot_lost=True)
    assert play.waiting(0) == ["b"]
    play.carry_out(play.dispatch.free(0, 1, 2 * SECOND))
    assert play.started[-1] == ("b", 0)


def test_slots_of_a_resource_that_joins_are_used_from_then_on() -> None:
    script = Script(wait=50.0)
    play = Play(script, slots=[1])
    play.submit("a")
    assert len(play.dispatch.set_slots(2, 2, SECOND).start) == 0  # lane 1 is somebody else's
    script.lane = 2
    for name in "bcd":
        play.submit(name, at_s=1.0)
    assert script.seen == [0b001, 0b101, 0b101, 0b101]
    assert play.started == [("a", 0), ("b", 2), ("c", 2)]
    assert play.waiting(2) == ["d"]
    play.carry_out(play.dispatch.set_slots(2, 3, 2 * SECOND))
    assert play.started[-1] == ("d", 2)


def test_a_lane_that_loses_its_slots_ends_what_runs_and_moves_what_waits() -> None:
    script = Script(wait=50.0)
    play = Play(script)
    for name in "abc":
        play.submit(name)
    script.moves_to = 1
    play.carry_out(play.dispatch.set_slots(0, 0, SECOND))
    assert play.started == [("a", 0), ("b", 1)]
    assert (play.waiting(0), play.waiting(1)) == ([], ["c"])
    assert script.masks == [0b10, 0b10]
    play.end("a", 0, 2.0)
    play.submit("d", at_s=2.0)
    assert play.waiting(0) == ["d"]
    play.carry_out(play.dispatch.set_slots(0, 1, 3 * SECOND))
    assert play.started[-1] == ("d", 0)


def test_a_resource_that_is_not_ours_may_be_disturbed() -> None:
    script = Script(wait=50.0, lanes=0b100)
    play = Play(script)
    play.submit("a")
    play.end("a", 0, 1.0, "failed")
    assert script.masks == []


def test_the_policy_is_not_replaced_under_an_open_run() -> None:
    """It would hear of the end of a job that it never decided on."""
    play = Play(Script(wait=50.0))
    play.submit("a")
    other = Script()
    with pytest.raises(ConfigError, match="1 runs are open"):
        play.dispatch.policy = other
    play.end("a", 0, 1.0)
    play.dispatch.policy = other
    assert play.dispatch.policy is other


class Plain:
    """A policy as the baselines are: it decides and forecasts nothing."""

    def assign(
        self,
        model: str,
        qos: str,
        features: tuple[float, ...],
        mask: int | None,
        deadline_s: float | None = None,
    ) -> Assignment:
        return Assignment(0)

    def started(self, assignment: Assignment) -> None: ...

    def ended(self, assignment: Assignment, end: End, service_s: float, completion_s: float) -> None: ...


def test_a_policy_without_forecasts_gets_queues_and_expiry_only() -> None:
    play = Play(Plain())
    play.submit("u", qos=URGENT)
    play.submit("b")
    assert play.dispatch.next_due_ns() == play.jobs["b"].deadline_ns
    play.due(50.0)
    assert play.waiting(0) == ["b"]
    play.end("u", 0, 60.0)
    assert play.started == [("u", 0), ("b", 0)]


@pytest.mark.parametrize(
    ("field", "value"),
    [("stay_bonus", 1.0), ("stay_bonus", -0.1), ("hedge_budget", 1.5), ("hedge", 1), ("start_test", None)],
)
def test_rules_out_of_range_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ConfigError, match=field):
        tw.Rules(**{field: value})  # type: ignore[arg-type]
