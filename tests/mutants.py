"""Does each guarantee's test notice when the guarantee is broken? `python -m tests.mutants [NUMBER...]`

For each mutant one line of the implementation is broken in a copy of the tree, the copy is built, and the named
tests must fail. A mutant that survives, or whose line is gone, makes the exit code 1.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Mutant:
    """guarantee: its number in tests/guarantees, 0 = the random engine life. line: stands in `file` exactly once."""

    guarantee: int
    file: str
    line: str
    broken: str
    tests: str


G = "tests/guarantees/"
MUTANTS = (
    Mutant(
        1,
        "_core/posterior.pxd",
        "row[at + d] = b[d] + 2.0 * shift * b[0] + shift * shift * sums[0]",
        "row[at + d] = b[d] + shift * shift * sums[0]",
        G + "test_g01_closed_form.py",
    ),
    Mutant(
        2,
        "_core/posterior.pxd",
        "                v += l0[i]",
        "                v += 0.0",
        G + "test_g02_positive_definite.py -m not\\ long",
    ),
    Mutant(
        3,
        "_core/claim.pxd",
        "    make_monotone(v, w)",
        "    pass",
        G + "test_g03_claim.py",
    ),
    Mutant(
        3,
        "_core/forecast.pxd",
        "    cdef int t = load.first_queued[line_of(load, route.level)]",
        "    cdef int t = load.last_queued[line_of(load, route.level)]",
        G + "test_g03_claim.py",
    ),
    Mutant(
        3,
        "_core/kernels.h",
        "            idle_x[j] = is_load[j] ? 0.0 : x[j];",
        "            idle_x[j] = x[j];",
        G + "test_g03_claim.py",
    ),
    Mutant(
        4,
        "engine/_queues/queue.pxi",
        "entry.level, entry.at_ns, entry.number = priority, deadline_ns, self.n_ever",
        "entry.level, entry.at_ns, entry.number = 0, deadline_ns, self.n_ever",
        G + "test_g04_classes.py",
    ),
    Mutant(
        4,
        "engine/_queues/queue.pxi",
        "        self.heap = Heap(True)",
        "        self.heap = Heap(False)",
        G + "test_g04_batches.py",
    ),
    Mutant(
        4,
        "engine/_queues/joining.pxi",
        "            if batch.n_open:",
        "            if False:",
        G + "test_g04_batches.py",
    ),
    Mutant(
        5,
        "_core/among.pxd",
        "if weighed(route, f) >= route.on_time:",
        "if weighed(route, f) >= 0.9 * route.on_time:",
        G + "test_g05_guaranteed_contract.py",
    ),
    Mutant(
        6,
        "_core/choose.h",
        "tw_pick(tw_load(fits + at) >= limit, tw_load(cost + at), tw_splat(INFINITY))",
        "tw_load(cost + at)",
        G + "test_g06_hard_bounds.py",
    ),
    Mutant(
        7,
        "_core/tickets.pxd",
        "    st.head.n_open -= 1",
        "    st.head.n_open -= 0",
        G + "test_g07_settles_once.py",
    ),
    Mutant(
        7,
        "_core/tickets.pxd",
        "    if st.ticket[t].state == TICKET_RIDING:",
        "    if False:",
        G + "test_g07_settles_once.py",
    ),
    Mutant(
        8,
        "_core/certificate.pxd",
        "return c.target + c.eta * (c.target * c.n - c.n_missed)",
        "return max(1e-3, c.target + c.eta * (c.target * c.n - c.n_missed))",
        G + "test_g08_certificate.py",
    ),
    Mutant(
        8,
        "_core/promise.pxd",
        "        st.ticket[mate].promise = st.ticket[t].promise",
        "        pass",
        G + "test_g08_one_promise_a_job.py",
    ),
    Mutant(
        9,
        "_core/block.pxi",
        "            head.rng[i] = splitmix(&seed)",
        "            head.rng[i] = splitmix(&seed) ^ <uint64_t>self.base",
        G + "test_g09_reproducible.py",
    ),
    Mutant(
        10,
        "_core/health.pxd",
        "b.until_ns = now_ns + <int64_t>(1e9 * (retry_after_s if b.held else out_s))",
        "b.until_ns = now_ns",
        G + "test_g10_failing.py",
    ),
    Mutant(
        10,
        "_core/overdue.pxd",
        "job.overdue = due_ns <= now_ns",
        "job.overdue = 0",
        G + "test_g10_hanging.py",
    ),
    Mutant(
        11,
        "_core/choose.h",
        "(words[at >> 6] >> (at & 63)) & 0xffff",
        "(words[at >> 6] >> (at & 63) | !at) & 0xffff",
        G + "test_g11_masked_lane.py",
    ),
    Mutant(
        11,
        "_core/wait.pxd",
        "        total += load.queued_s[p]\n        w.ahead_s",
        "        total += 0.0\n        w.ahead_s",
        G + "test_g11_idle_and_priority.py",
    ),
    Mutant(
        12,
        "_core/observe.pxd",
        "    memcpy(st.head.rng, rng, sizeof(rng))",
        "    pass",
        G + "test_g12_looking_on.py",
    ),
    Mutant(
        13,
        "_core/foreign.pxd",
        "    if says_waiting:",
        "    if True:",
        G + "test_g13_reports.py",
    ),
    # the random engine life
    Mutant(
        0,
        "_core/tickets.pxd",
        "    load.n_waiting -= 1",
        "    load.n_waiting -= 1 if job.level else 2",
        G + "test_machine.py -m not\\ long",
    ),
)


def survives(mutant: Mutant, folder: Path) -> str | None:
    """Why the mutant is not caught; None when its tests fail."""
    tree, site = folder / "tree", folder / "site"
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in names.stdout.split():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, tree / name)
    source = (tree / mutant.file).read_text()
    if source.count(mutant.line) != 1:
        return f"{mutant.file} holds the line {source.count(mutant.line)} times, not once"
    (tree / mutant.file).write_text(source.replace(mutant.line, mutant.broken))
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-build-isolation", "--no-deps"]
    built = subprocess.run([*install, "--target", site, tree], capture_output=True, text=True)
    if built.returncode != 0:
        return f"does not build: {built.stderr[-500:]}"
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *shlex.split(mutant.tests), "-x", "--hypothesis-profile=mutant"],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
    )
    return None if ran.returncode == 1 else f"its tests ended with {ran.returncode}: {ran.stdout[-300:]}"


def main(numbers: list[int]) -> int:
    """Prints a line a mutant; returns the exit code."""
    code = 0
    for mutant in MUTANTS:
        if numbers and mutant.guarantee not in numbers:
            continue
        with tempfile.TemporaryDirectory() as folder:
            why = survives(mutant, Path(folder))
        verdict = "caught" if why is None else "SURVIVES"
        print(
            f"{mutant.guarantee:3} {verdict:9} {mutant.file}: {mutant.line.strip()} -> {mutant.broken.strip()}",
            flush=True,
        )
        if why is not None:
            print(f"    {why}")
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main([int(a) for a in sys.argv[1:]]))
