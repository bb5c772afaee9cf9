"""A small world of replicas that batch continuously: what two signals and columns are worth, how far claims hold."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from functools import cache

import numpy as np

import tailwise as tw

TTFT_S, TPOT_S = 0.4, 0.03
SPEED = (1.6, 1.0, 0.7)
LLM = tw.Model(
    "llm",
    features=(tw.Feature("prompt_tokens", typical=512),),
    columns=(
        tw.Column("ahead", 512, tracked="prefill_tokens", plus="uncached", square=True),
        tw.Column("busy", 4, tracked="running", square=True),
    ),
    signals=("ttft", "tpot"),
)


@dataclass(frozen=True)
class Outcome:
    """One job: what was claimed, whether both bounds held."""

    claim: float
    good: bool


@cache
def play(policy: str, rate: float, seed: int, n: int = 2500) -> tuple[Outcome, ...]:
    """Poisson arrivals at three replicas, each with a prefix cache of its sessions.

    A prompt waits for those before it and is read at 8000 tokens a second x speed, what the replica has in its
    cache aside; tokens then come at 14 ms (1 + jobs / 12) / speed each, jobs counted when its first one comes;
    noise .1 in ln on both. policy "learned": tailwise over all three; "least": of the fewest open jobs, told by
    a mask.
    """
    rng, clock = np.random.default_rng(seed), tw.ManualClock()
    e = tw.Engine(
        [tw.Resource(f"h{i}", max_running=256) for i in range(len(SPEED))],
        [LLM],
        [tw.QoS("chat", ttft_s=TTFT_S, tpot_s=TPOT_S, contract="best_effort")],
        clock=clock,
        seed=seed,
    )
    route, free_s, running = e.route("llm", "chat"), [0.0] * len(SPEED), [0] * len(SPEED)
    outcomes: list[Outcome] = []
    events: list[tuple[float, int, str, tuple]] = []
    now_s, serial = 0.0, 0

    def later(at_s: float, kind: str, *what: object) -> None:
        nonlocal serial
        serial += 1
        heapq.heappush(events, (at_s, serial, kind, what))

    for at_s in np.cumsum(rng.exponential(1.0 / rate, n)):
        later(float(at_s), "arrival")
    while events:
        now_s, _, kind, what = heapq.heappop(events)
        clock.set(now_s)
        if kind == "arrival":
            prompt, home = float(np.ceil(512 * np.exp(rng.normal(0, 0.8)))), int(rng.integers(len(SPEED)))
            Z = route.buffer()
            Z[0] = prompt
            Z[0, home] = np.ceil(0.3 * prompt)
            mask = None
            if policy == "least":
                loads = [sum(e.load(r.name)) for r in e.resources]
                mask = 1 << int(rng.choice(np.flatnonzero(np.array(loads) == min(loads))))
            ticket = route.select((prompt,), Z, mask=mask)
            lane = e.lane(ticket.resource.name)
            read_s = Z[0, lane] / (8000 * SPEED[lane]) * math.exp(rng.normal(0, 0.1))
            free_s[lane] = max(now_s, free_s[lane]) + read_s
            later(free_s[lane] + 0.02, "first", ticket, lane, now_s)
        elif kind == "first":
            ticket, lane, arrival_s = what
            running[lane] += 1
            ticket.first()
            tokens = int(np.clip(100 * np.exp(rng.normal(0, 0.6)), 2, 1000))
            pace_s = 0.014 * (1 + running[lane] / 12) / SPEED[lane] * math.exp(rng.normal(0, 0.1))
            good = now_s - arrival_s <= TTFT_S and pace_s <= TPOT_S
            later(now_s + (tokens - 1) * pace_s, "end", ticket, lane, tokens, good)
        else:
            ticket, lane, tokens, good = what
            running[lane] -= 1
            ticket.complete(tokens=tokens)
            outcomes.append(Outcome(ticket.p_on_time, good))
    assert e.in_flight == 0
    return tuple(outcomes)


def share_good(policy: str, rate: float, seed: int) -> float:
    return float(np.mean([o.good for o in play(policy, rate, seed)]))


def test_bounds_that_filter_keep_both_signals_where_the_nearest_first_token_would_not() -> None:
    """Share of 2500 jobs with both bounds kept, three seeds, at 8 and 12 jobs a second (60 and 90% of what the
    replicas hold within the pace): .992-.995 and .75-.77, where fewest open jobs reach .83-.85 and .64-.67. By the
    first token alone, without the filter on the pace, the learned choice crowds the fastest replica: .73-.77 and
    .61-.70. An sd of a difference is at most .014: .1 is seven of them."""
    for seed in (1, 2, 3):
        assert share_good("learned", 8.0, seed) > 0.97
        for rate in (8.0, 12.0):
            assert share_good("learned", rate, seed) > share_good("least", rate, seed) + 0.1


def test_claims_of_two_bounds_do_not_flatter() -> None:
    """The mean claim lies below the share that kept both bounds, once a fifth of the jobs has taught; the union
    bound and what is not known yet make it .02-.03 too low at 8 jobs a second. An sd of the share is at most .01."""
    for seed in (1, 2, 3):
        late = play("learned", 8.0, seed)[500:]
        gap = float(np.mean([o.claim - o.good for o in late]))
        assert -0.05 < gap < 0.01
