"""C files of the bench, built with the compiler of Python and the flags of the package, and loaded."""

from __future__ import annotations

import ctypes
import shlex
import subprocess
import sysconfig
from pathlib import Path

__all__ = ["compiled", "compiler"]

ROOT = Path(__file__).parent.parent
FLAGS = ["-O3", "-fno-math-errno", "-fno-trapping-math", "-Wno-psabi", "-fPIC", "-shared"]


def compiler() -> str:
    return shlex.split(sysconfig.get_config_var("CC") or "cc")[0]


def compiled(name: str) -> ctypes.CDLL:
    """The library of bench/NAME, built in build/ where the source or _core/simd.h is newer."""
    source, header = ROOT / "bench" / name, ROOT / "_core" / "simd.h"
    target = ROOT / "build" / source.with_suffix(".so").name
    newest = max(source.stat().st_mtime, header.stat().st_mtime)
    if not target.exists() or target.stat().st_mtime < newest:
        target.parent.mkdir(exist_ok=True)
        command = [compiler(), *FLAGS, f"-I{ROOT / '_core'}", str(source), "-o", str(target), "-lm"]
        subprocess.run(command, check=True)
    return ctypes.CDLL(str(target))
