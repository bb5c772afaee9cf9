"""What a memory of prompts and of sessions costs: `python -m bench.prefix`.

A prompt of 32 KB that eight of 64 lanes have read to different depths, in a memory that is full; and a chat of 21
messages of 1.5 KB as text. Medians of calls in turn, microseconds; bytes by tracemalloc.
"""

from __future__ import annotations

import random
import statistics
import time
import tracemalloc
from collections.abc import Callable, Mapping

import numpy as np

from bench.table import show
from tailwise.adapters.affinity import fill_given
from tailwise.adapters.prefix import PrefixMemory, conversation
from tailwise.adapters.sessions import Sessions

LANES = 64


def text(rng: random.Random, n: int) -> str:
    return "".join(rng.choices("etaoin shrdlu", k=n))


def main() -> None:
    rng = random.Random(1)
    tracemalloc.start()
    prefixes, sessions = PrefixMemory(), Sessions()
    while len(prefixes) < prefixes.max_blocks:
        prefixes.note(prefixes.chain(text(rng, 32768)), rng.randrange(LANES))
    per_block = tracemalloc.get_traced_memory()[0] / len(prefixes)
    before = tracemalloc.get_traced_memory()[0]
    for i in range(sessions.max_sessions):
        sessions.note(f"session-{i}", i % LANES)
    per_session = (tracemalloc.get_traced_memory()[0] - before) / len(sessions)
    tracemalloc.stop()

    prompt = text(rng, 32768)
    for lane in range(8):
        prefixes.note(prefixes.chain(prompt[: 4096 * (lane + 1)]), lane)
    chain = prefixes.chain(prompt)
    turns = [{"role": "user" if i % 2 else "assistant", "content": text(rng, 1560)} for i in range(21)]
    row, Z = np.empty(LANES), np.empty((2, LANES))
    known = {
        "prefixes": prefixes,
        "chain": chain,
        "n_tokens": 8192.0,
        "sessions": sessions,
        "session": "session-7",
    }
    calls: dict[str, Callable[[], object]] = {
        "conversation": lambda: conversation(turns),
        "chain": lambda: prefixes.chain(prompt),
        "uncached": lambda: prefixes.uncached(chain, 8192.0, LANES, row),
        "fill_given": lambda: fill_given(Z, ("uncached", "session"), **known),  # type: ignore[arg-type]
        "note": lambda: prefixes.note(chain, 9),
        "sessions.note": lambda: sessions.note("session-7", 7),
    }
    forgets = iter(range(10, LANES))
    calls |= {"forget": lambda: prefixes.forget(next(forgets, 10))}
    rows = [(name, f"{us:.1f}") for name, us in timed_us(calls, 300).items()]
    show("us", ("", "p50"), rows)
    print(f"{per_block:.0f} bytes a prefix, {per_session:.0f} a session")


def timed_us(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append(1e6 * (time.perf_counter() - start))
    return {name: statistics.median(t) for name, t in times.items()}


if __name__ == "__main__":
    main()
