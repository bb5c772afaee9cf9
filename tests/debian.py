"""Programs that tests run and pip does not have: taken from Debian's packages where the tests may install them."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache

import pytest

__all__ = ["program"]


def program(name: str, *packages: str) -> str:
    """The path of a program, installed from `packages` first if it is missing and we are root where apt-get is; else
    the test that needs it is skipped, and says so."""
    found = shutil.which(name)
    if found is None:
        why = _install(packages)
        found = shutil.which(name)
        if found is None:
            pytest.skip(f"{name} is not installed ({why}): apt-get install {' '.join(packages)}")
    return found


@cache
def _install(packages: tuple[str, ...]) -> str:
    """Once a run. What came of it, in a few words."""
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        return "and cannot be from here"
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for step in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", *packages]):
        try:
            done = subprocess.run(["apt-get", *step], env=env, capture_output=True, timeout=240, check=False)
        except subprocess.TimeoutExpired:
            return "apt-get took more than 4 minutes"
    return "installed now" if done.returncode == 0 else f"apt-get ended with {done.returncode}"
