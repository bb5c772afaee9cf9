"""A Python process in which packages are missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

__all__ = ["run_without"]

ROOT = Path(__file__).parent.parent

#: As if the packages of the first argument, by commas, were not installed.
HIDE = """
import sys
from importlib.machinery import PathFinder

hidden = sys.argv.pop(1).split(",")

class Hidden:
    find_distributions = PathFinder.find_distributions

    @staticmethod
    def find_spec(name, path=None, target=None):
        return None if name.partition(".")[0] in hidden else PathFinder.find_spec(name, path, target)

sys.meta_path[:] = [Hidden if finder is PathFinder else finder for finder in sys.meta_path]
"""


def run_without(packages: str, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """packages: by commas. program: Python, which sees the arguments in sys.argv."""
    return subprocess.run(
        [sys.executable, "-c", HIDE + program, packages, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=250,
        check=False,
    )
