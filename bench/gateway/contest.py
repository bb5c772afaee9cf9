"""One fleet, four proxies, the same requests at the same times, while a backend slows down and another one dies."""

from __future__ import annotations

import asyncio
import math
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.gateway import client
from bench.gateway.client import Answer, Due
from bench.gateway.fleet import Process, backend, bare, free_port, nginx, started

__all__ = ["CLASSES", "CONTESTANTS", "Figures", "arrivals", "play", "scale", "slots_for"]

#: Class: seconds to its deadline, required probability, share of the requests.
CLASSES = {"interactive": (0.1, 0.95, 0.7), "batch": (1.0, 0.5, 0.3)}
#: Median seconds in a slot, by backend: two alike, one twice as fast, one half as fast.
SPEEDS_S = {"a": 0.01, "b": 0.02, "c": 0.02, "d": 0.04}
#: From a quarter of the time on this one takes ten times as long; from half of it on the other one is dead.
SLOWED, FACTOR, KILLED = "b", 10.0, "d"
#: Load on the slots that are left then.
LOAD_LEFT = 0.75
PATH = "/v1/infer"

CONFIG = """
[gateway]
port = {port}
[[model]]
name = "infer"
api = "http"
paths = ["{path}"]
"""


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one proxy over all its rounds. Shares of all requests; seconds from when one was due to its last byte."""

    name: str
    n: int
    lost: int  #: without any answer
    errors: dict[int, int]  #: answers that are not 200, by status
    attainment: dict[str, float]
    p50_s: dict[str, float]
    p99_s: dict[str, float]
    shares: dict[str, float]

    @classmethod
    def of(cls, name: str, answers: Sequence[Answer]) -> Figures:
        by_class = {qos: [a for a in answers if a.due.qos == qos] for qos in CLASSES}
        took = {qos: [a.seconds for a in some if a.status == 200] for qos, some in by_class.items()}
        good = Counter(a.served_by for a in answers if a.status == 200)
        return cls(
            name,
            len(answers),
            sum(a.status == 0 for a in answers),
            dict(Counter(a.status for a in answers if a.status not in (0, 200))),
            {
                qos: sum(a.status == 200 and a.seconds <= CLASSES[qos][0] for a in some) / len(some)
                for qos, some in by_class.items()
            },
            {qos: float(np.quantile(s, 0.5)) if s else math.nan for qos, s in took.items()},
            {qos: float(np.quantile(s, 0.99)) if s else math.nan for qos, s in took.items()},
            {served_by: n / len(answers) for served_by, n in sorted(good.items())},
        )


def scale(factor: float) -> None:
    """Makes services and deadlines so many times as long: what the way to a backend weighs beside the work."""
    SPEEDS_S.update({name: factor * s for name, s in SPEEDS_S.items()})
    CLASSES.update({q: (factor * deadline_s, p, share) for q, (deadline_s, p, share) in CLASSES.items()})


def slots_for(rate_per_s: float) -> int:
    """Of each backend, so that what is left of the fleet after both faults is loaded by LOAD_LEFT."""
    left = sum(
        1.0 / (s * (FACTOR if name == SLOWED else 1.0)) for name, s in SPEEDS_S.items() if name != KILLED
    )
    return max(1, math.ceil(rate_per_s / (LOAD_LEFT * left)))


def arrivals(rate_per_s: float, seconds: float, seed: int) -> list[Due]:
    """Poisson, with classes drawn."""
    rng = np.random.default_rng(seed)
    at_s = np.cumsum(rng.exponential(1.0 / rate_per_s, int(rate_per_s * seconds * 1.2) + 10))
    at_s = at_s[at_s < seconds]
    names, shares = list(CLASSES), [share for *_, share in CLASSES.values()]
    drawn = rng.choice(len(names), len(at_s), p=shares)
    return [Due(float(t), names[i], b"{}") for t, i in zip(at_s, drawn, strict=True)]


def tailwise(urls: dict[str, str], slots: int, folder: Path, queue: bool = False) -> Process:
    """`tailwise serve` with all its defaults. queue: but that requests wait in it."""
    port = free_port()
    text = CONFIG.format(port=port, path=PATH)
    if queue:
        text = text.replace("[[model]]", "queue = true\n[[model]]")
    for name, url in urls.items():
        text += f'[[backend]]\nname = "{name}"\nurl = "{url}"\nslots = {slots}\n'
    for priority, (name, (deadline_s, on_time, _)) in enumerate(CLASSES.items()):
        text += f'[[qos]]\nname = "{name}"\ndeadline_s = {deadline_s}\non_time = {on_time}\npriority = {priority}\n'
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "gateway.toml").write_text(text, encoding="utf-8")
    command = (sys.executable, "-c", "from tailwise.adapters.cli import main; main()", "serve")
    return Process([*command, str(folder / "gateway.toml")], port)


#: Name: starts the proxy in front of (backends by name, their slots), with a folder of its own.
CONTESTANTS: dict[str, Callable[[dict[str, str], int, Path], Process]] = {
    "tailwise": tailwise,
    "tailwise, queueing": lambda urls, slots, folder: tailwise(urls, slots, folder, queue=True),
    "nginx, round robin": lambda urls, slots, folder: nginx(list(urls.values()), "", folder),
    "nginx, least connections": lambda urls, slots, folder: nginx(list(urls.values()), "least_conn;", folder),
    "bare starlette, round robin": lambda urls, slots, folder: bare(list(urls.values())),
}


def play(name: str, dues: Sequence[Due], slots: int, seconds: float, folder: Path, seed: int) -> list[Answer]:
    """A fleet of its own each time; what the proxy learns, it learns from these requests."""
    with ExitStack() as stack:
        fleet = {
            backend_name: backend(backend_name, slots, service_s, seed=seed)
            for backend_name, service_s in SPEEDS_S.items()
        }
        stack.enter_context(started(*fleet.values()))
        proxy = CONTESTANTS[name]({n: process.url for n, process in fleet.items()}, slots, folder)
        stack.enter_context(started(proxy))
        return asyncio.run(_with_faults(proxy.port, dues, seconds, fleet))


async def _with_faults(
    port: int, dues: Sequence[Due], seconds: float, fleet: dict[str, Process]
) -> list[Answer]:
    async def faults() -> None:
        await asyncio.sleep(0.25 * seconds)
        await asyncio.to_thread(fleet[SLOWED].slow_down, FACTOR)
        await asyncio.sleep(0.25 * seconds)
        await asyncio.to_thread(fleet[KILLED].kill)

    happening = asyncio.create_task(faults())
    answers = await client.play(port, PATH, dues)
    await happening
    return answers
