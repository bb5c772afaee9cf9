"""Does each guarantee's test notice when the guarantee is broken? `python -m tests.mutants [NUMBER...]`

For each mutant one line of the implementation is broken in a copy of the tree, the copy is built, and the named
tests must fail. A mutant that survives, or whose line is gone, makes the exit code 1.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Mutant:
    """guarantee: its number in tests/guarantees. line must stand in `file` exactly once."""

    guarantee: int
    file: str
    line: str
    broken: str
    tests: str


MUTANTS: tuple[Mutant, ...] = ()


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
        [sys.executable, "-m", "pytest", *mutant.tests.split(), "-x", "-p", "no:cacheprovider"],
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
