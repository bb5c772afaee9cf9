"""What the gateway adds: `python -m bench.gateway.overhead`.

Processor time a request beside a bare starlette + httpx2 proxy, both up at once and loaded in turns (wrk, POST with a
small body, a backend that answers at once); then what of it is the decision, by kind of request. Processor time and
not the clock's, since it means the same on a machine that is shared.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from bench.gateway.__main__ import BARE, OURS, carried_per_s
from bench.gateway.contest import PATH
from bench.gateway.fleet import Process, backend, bare, free_port, started
from tailwise.adapters.gateway.app import App
from tailwise.adapters.gateway.config import parse
from tailwise.adapters.gateway.fleet import Fleet
from tailwise.adapters.gateway.job import read_job

#: Seconds that a short request takes: what the decision is a share of.
SHORT_S = 0.005
TEXT = """
[[model]]
name = "llm"
[[model]]
name = "infer"
api = "http"
paths = ["/v1/infer"]
[[qos]]
name = "chat"
ttft_s = 3.0
[[qos]]
name = "batch"
deadline_s = 30.0
"""
SERVE = "from tailwise.adapters.cli import main; main()"
HEADERS = [
    (b"host", b"gateway"),
    (b"content-type", b"application/json"),
    (b"accept", b"*/*"),
    (b"user-agent", b"bench"),
    (b"authorization", b"Bearer key"),
    (b"x-session-id", b"s-1"),
]


def processor_s(process: Process) -> float:
    """Seconds of processor time that a process has had."""
    fields = Path(f"/proc/{process.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ours(url: str, folder: Path) -> Process:
    """Refuses nobody: what a machine that is measured to its limits makes of deadlines is no part of the question."""
    port, config = free_port(), folder / "gateway.toml"
    text = TEXT.replace("deadline_s = 30.0", 'deadline_s = 30.0\ncontract = "best_effort"')
    config.write_text(f'[gateway]\nport = {port}\n{text}\n[[backend]]\nname = "b"\nurl = "{url}"\n', "utf-8")
    return Process([sys.executable, "-c", SERVE, "serve", str(config)], port)


def in_turns(rounds: int, seconds: int, folder: Path) -> dict[str, list[tuple[float, float]]]:
    """(requests a second, processor seconds a request) by proxy and round."""
    found: dict[str, list[tuple[float, float]]] = {BARE: [], OURS: []}
    with started(backend("at-once", 64, 0.0)) as (fast,):
        proxies = [bare([fast.url]), ours(fast.url, folder)]
        with started(*proxies):
            for proxy in proxies:
                carried_per_s(f"{proxy.url}{PATH}", 2)  # connections, first results
            for _ in range(rounds):
                for name, proxy in zip(found, proxies, strict=True):
                    before_s = processor_s(proxy)
                    rate = carried_per_s(f"{proxy.url}{PATH}", seconds)
                    found[name].append((rate, (processor_s(proxy) - before_s) / (rate * seconds)))
    return found


def decision_s(path: str, body: bytes, n: int) -> tuple[float, float]:
    """Processor seconds to read a request, and to decide on it and settle it, with eight backends."""
    data = tomllib.loads(TEXT)
    data["backend"] = [{"name": f"b{i}", "url": f"http://127.0.0.1:{9000 + i}"} for i in range(8)]
    fleet = Fleet(parse(data, "bench"))
    app = App(fleet)
    scope: dict[str, Any] = {"path": path, "raw_path": path.encode(), "query_string": b"", "method": "POST"}
    scope |= {"headers": HEADERS, "client": ("127.0.0.1", 1), "scheme": "http"}
    read_s = decide_s = 0.0
    for i in range(n):
        start_s = time.thread_time()
        request = app._request(scope, read_job(fleet, scope, body))
        middle_s = time.thread_time()
        exchange = app._forwarder._open(request)
        assert exchange is not None
        app._forwarder._addressed(request, exchange.entry)
        exchange.entry.complete()
        if i >= n // 5:
            read_s += middle_s - start_s
            decide_s += time.thread_time() - middle_s
    kept = n - n // 5
    return read_s / kept, decide_s / kept


def chat(characters: int) -> bytes:
    message = {"role": "user", "content": "hello world " * (characters // 12)}
    return json.dumps({"model": "llm", "messages": [message], "stream": True}).encode()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="Of load, per proxy and round.")
    args = parser.parse_args()
    console = Console(width=120)
    with tempfile.TemporaryDirectory(prefix="tailwise-gateway-") as name:
        found = in_turns(args.rounds, args.seconds, Path(name))
    rate, cost = ({k: np.array([row[i] for row in rows]) for k, rows in found.items()} for i in (0, 1))
    table = Table("proxy", "requests a second", "processor ms a request", title="median of rounds, in turns")
    for proxy in found:
        table.add_row(proxy, f"{np.median(rate[proxy]):.0f}", f"{1e3 * np.median(cost[proxy]):.3f}")
    console.print(table)
    console.print(
        f"throughput, tailwise / bare: {np.median(rate[OURS] / rate[BARE]):.2f} (median of the rounds' ratios)"
    )
    console.print(f"processor time, tailwise / bare: {np.median(cost[OURS] / cost[BARE]):.2f}")
    kinds = (("plain HTTP, 2 bytes", PATH, b"{}"), ("chat, 200 characters", "/v1/chat/completions", chat(200)),
             ("chat, 8000 characters", "/v1/chat/completions", chat(8000)))  # fmt: skip
    table = Table(
        "request", "read us", "decide and settle us", f"share of {1e3 * SHORT_S:g} ms", title="processor time"
    )
    for kind, path, body in kinds:
        read_s, decide_s = decision_s(path, body, 5000)
        table.add_row(kind, f"{1e6 * read_s:.0f}", f"{1e6 * decide_s:.0f}", f"{decide_s / SHORT_S:.2%}")
    console.print(table)


if __name__ == "__main__":
    main()
