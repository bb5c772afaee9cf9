"""What a request costs more through the transport than without: `python -m bench.transport [--rounds 30] [--n 100]`.

One client of each kind sends the same small POST to real servers (uvicorn, processes of their own) that answer at
once: over the library's own transport, and over tailwise's, which chooses between two. Rounds of both alternate; a
round is the mean of `--n` requests in turn. Processor time is this process's, which is where the transport runs.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import tailwise as tw
from bench.gateway.fleet import backend, started
from bench.table import show
from tailwise.adapters.journal import Journal

BODY = b'{"model": "m", "prompt": "hello", "max_tokens": 16}'
ASK = ("net", "plain")

#: Seconds of wall clock and of processor a request.
Cost = tuple[float, float]


def costs(send: Callable[[], Any], n: int) -> Cost:
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    for _ in range(n):
        send()
    return (time.perf_counter() - wall_s) / n, (time.process_time() - cpu_s) / n


async def costs_async(send: Callable[[], Any], n: int) -> Cost:
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    for _ in range(n):
        await send()
    return (time.perf_counter() - wall_s) / n, (time.process_time() - cpu_s) / n


def journal() -> Journal:
    resources = [tw.Resource("a", slots=8), tw.Resource("b", slots=8)]
    return Journal(tw.Engine(resources, [tw.Model("net")], [tw.QoS("plain", 10.0)], seed=1))


def blocking(library: str, urls: dict[str, str], rounds: int, n: int) -> list[tuple[Cost, Cost]]:
    http, adapter = importlib.import_module(library), importlib.import_module(f"tailwise.adapters.{library}")
    transport = adapter.Transport(journal(), urls, adapter.Ask(*ASK))
    with http.Client(trust_env=False) as bare, http.Client(transport=transport) as ours:
        senders = [lambda c=client: c.post(urls["a"] + "/x", content=BODY) for client in (bare, ours)]
        for send in senders:
            costs(send, n)
        return [(costs(senders[0], n), costs(senders[1], n)) for _ in range(rounds)]


async def on_asyncio(library: str, urls: dict[str, str], rounds: int, n: int) -> list[tuple[Cost, Cost]]:
    http, adapter = importlib.import_module(library), importlib.import_module(f"tailwise.adapters.{library}")
    transport = adapter.AsyncTransport(journal(), urls, adapter.Ask(*ASK))
    async with http.AsyncClient(trust_env=False) as bare, http.AsyncClient(transport=transport) as ours:
        senders = [lambda c=client: c.post(urls["a"] + "/x", content=BODY) for client in (bare, ours)]
        for send in senders:
            await costs_async(send, n)
        return [(await costs_async(senders[0], n), await costs_async(senders[1], n)) for _ in range(rounds)]


def row(name: str, rounds: list[tuple[Cost, Cost]]) -> list[str]:
    cells = [name]
    for clock in (0, 1):
        bare = [one[clock] for one, _ in rounds]
        ours = [other[clock] for _, other in rounds]
        more = statistics.median(o - b for o, b in zip(ours, bare, strict=True)) * 1e6
        ratio = statistics.median(o / b for o, b in zip(ours, bare, strict=True))
        cells += [f"{statistics.median(bare) * 1e6:.0f}", f"{more:.0f}", f"{ratio:.2f}"]
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--n", type=int, default=100)
    args = parser.parse_args()
    rows = []
    with ExitStack() as stack:
        processes = stack.enter_context(started(*(backend(name, 8, 0.0) for name in "ab")))
        urls = {name: process.url for name, process in zip("ab", processes, strict=True)}
        for library in ("httpx", "httpx2"):
            rows.append(row(f"{library}, blocking", blocking(library, urls, args.rounds, args.n)))
            measured = asyncio.run(on_asyncio(library, urls, args.rounds, args.n))
            rows.append(row(f"{library}, asyncio", measured))
    wall, cpu = ("bare us", "more us", "ratio"), ("bare cpu us", "more cpu us", "cpu ratio")
    show("One request, microseconds", ("client", *wall, *cpu), rows)


if __name__ == "__main__":
    main()
