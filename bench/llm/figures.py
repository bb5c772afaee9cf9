"""What blocks of answers say of the routers that were played."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from bench.llm.calibrate import Bounds
from bench.llm.client import Answer
from bench.replay.summary import Estimate, estimate

__all__ = ["Block", "Figures", "ahead", "figures", "plain", "read", "tables"]


@dataclass(frozen=True, slots=True)
class Block:
    """One router on one tape. answers: of the turns that count. backends: a server's name by what answers call it."""

    load: float
    seed: int
    router: str
    seconds: float
    bounds: Mapping[str, Bounds]
    backends: Mapping[str, str]
    answers: Sequence[Answer]

    def on_time(self, answer: Answer) -> bool:
        return all(self.bounds[answer.kind].kept(answer))

    @property
    def attainment(self) -> float:
        """Share of all turns that kept every bound."""
        return share([self.on_time(answer) for answer in self.answers])


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one router at one load and one class (None = all), pooled over its blocks. Shares in [0, 1], NaN of nothing.

    ttft, tpot, both: of the turns asked, those within the bound; for answers asked whole, ttft is the end's. p50_s,
    p95_s: of the first token, inf = never. by_server: share of the answers by server. cached: of the prompt tokens
    that servers counted, those that were in their caches. failed: without a whole answer. late_s: mean time that a
    turn came after it was due, since the one before was not answered yet.
    """

    load: float
    router: str
    kind: str | None
    n: int
    ttft: float
    tpot: float
    both: float
    p50_s: float
    p95_s: float
    by_server: Mapping[str, float]
    cached: float
    goodput_per_s: float
    failed: float
    late_s: float


def figures(blocks: Sequence[Block], kind: str | None = None) -> Figures:
    """blocks: of one load and one router."""
    pairs = [(b, a) for b in blocks for a in b.answers if kind in (None, a.kind)]
    kept = [block.bounds[a.kind].kept(a) for block, a in pairs]
    streamed = [a.first_s if a.ok else math.inf for _, a in pairs if a.streams]
    served = [block.backends.get(a.backend, a.backend) for block, a in pairs if a.ok]
    names = sorted({name for block in blocks for name in block.backends.values()})
    counted = [(a.n_prompt, a.n_cached or 0) for _, a in pairs if a.n_prompt]
    return Figures(
        load=blocks[0].load,
        router=blocks[0].router,
        kind=kind,
        n=len(pairs),
        ttft=share([first for first, _ in kept]),
        tpot=share([pace for _, pace in kept]),
        both=share([all(both) for both in kept]),
        p50_s=quantile(streamed, 0.5),
        p95_s=quantile(streamed, 0.95),
        by_server={name: share([s == name for s in served]) for name in names},
        cached=sum(c for _, c in counted) / sum(n for n, _ in counted) if counted else math.nan,
        goodput_per_s=sum(all(both) for both in kept) / sum(block.seconds for block in blocks),
        failed=share([not a.ok for _, a in pairs]),
        late_s=float(np.mean([a.late_s for _, a in pairs])) if pairs else math.nan,
    )


def ahead(blocks: Sequence[Block], ours: str, other: str) -> Estimate:
    """Attainment of ours - the other's, paired by tape: (load, seed)."""
    by_tape = {(b.load, b.seed, b.router): b.attainment for b in blocks}
    tapes = dict.fromkeys((b.load, b.seed) for b in blocks)
    return estimate(by_tape[(*tape, ours)] - by_tape[(*tape, other)] for tape in tapes)


def tables(
    blocks: Sequence[Block], ours: str, kinds: Sequence[str]
) -> tuple[tuple[list[str], list[list[str]]], tuple[list[str], list[list[str]]]]:
    """Columns and cells, a row for each router at one load: which bounds were kept; what was done for it."""
    routers = list(dict.fromkeys(block.router for block in blocks))
    servers = sorted({name for block in blocks for name in block.backends.values()})
    kept = ["router", "turns", "on time", "ahead by"]
    for kind in kinds:
        kept += [f"{kind} TTFT", "TPOT", "both"] if streams(blocks, kind) else [kind]
    did = ["router", "TTFT p50, s", "p95, s", *(f"on {name}" for name in servers)]
    did += ["cached", "on time/s", "failed", "held back, s"]
    kept_rows, did_rows = [], []
    for router in routers:
        own = [block for block in blocks if block.router == router]
        whole, row = figures(own), [router]
        gain = ahead(blocks, ours, router) if router != ours and ours in routers else None
        row += [
            str(whole.n),
            f"{whole.both:.3f}",
            "" if gain is None else f"{gain.mean:+.3f} ± {gain.error:.3f}",
        ]
        for kind in kinds:
            f = figures(own, kind)
            shown = (f.ttft, f.tpot, f.both) if streams(blocks, kind) else (f.both,)
            row += [f"{value:.2f}" for value in shown]
        kept_rows.append(row)
        shares = [f"{whole.by_server[name]:.2f}" for name in servers]
        rest = [
            f"{whole.cached:.2f}",
            f"{whole.goodput_per_s:.2f}",
            f"{whole.failed:.3f}",
            f"{whole.late_s:.2f}",
        ]
        did_rows.append([router, f"{whole.p50_s:.2f}", f"{whole.p95_s:.2f}", *shares, *rest])
    return (kept, kept_rows), (did, did_rows)


def plain(blocks: Sequence[Block]) -> dict[str, object]:
    """For a file: figures by load, router and class, and the blocks that `read` takes back."""
    groups: dict[tuple[float, str], list[Block]] = {}
    for block in blocks:
        groups.setdefault((block.load, block.router), []).append(block)
    kinds = (None, *dict.fromkeys(kind for block in blocks for kind in block.bounds))
    found = [asdict(figures(own, kind)) for own in groups.values() for kind in kinds]
    return {"figures": found, "blocks": [asdict(block) for block in blocks]}


def read(path: Path) -> list[Block]:
    """The blocks of a file that was written of `plain`."""
    rows = json.loads(path.read_text(encoding="utf-8"))["blocks"]
    for row in rows:
        row["bounds"] = {kind: Bounds(**bound) for kind, bound in row["bounds"].items()}
        row["answers"] = [Answer(**answer) for answer in row["answers"]]
    return [Block(**row) for row in rows]


def streams(blocks: Sequence[Block], kind: str) -> bool:
    """Whether it has bounds on a stream."""
    return blocks[0].bounds[kind].ttft_s < math.inf


def share(hits: Sequence[bool]) -> float:
    return float(np.mean(hits)) if hits else math.nan


def quantile(seconds: Sequence[float], q: float) -> float:
    """inf where as many never came."""
    return float(np.quantile(seconds, q, method="higher")) if seconds else math.nan
