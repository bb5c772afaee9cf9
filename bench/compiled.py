"""C files of the bench, built with the compiler of Python and the flags of the package, and loaded."""

from __future__ import annotations

import ctypes
import shlex
import subprocess
import sysconfig
from collections.abc import Sequence
from pathlib import Path

__all__ = ["compiled", "compiler"]

ROOT = Path(__file__).parent.parent
FLAGS = ["-O3", "-fno-math-errno", "-fno-trapping-math", "-Wno-psabi", "-fPIC", "-shared"]


def compiler() -> str:
    return shlex.split(sysconfig.get_config_var("CC") or "cc")[0]


def compiled(name: str, suffix: str = "", flags: Sequence[str] = ()) -> ctypes.CDLL:
    """The library of bench/NAME, built in build/ where the source or a header of the core is newer. suffix: of the
    library's name, where one source is compiled with several flags."""
    source = ROOT / "bench" / name
    target = ROOT / "build" / f"{source.stem}{suffix}.so"
    headers = [*(ROOT / "_core").glob("*.h"), *(ROOT / "bench").glob("*.h")]
    newest = max(path.stat().st_mtime for path in (source, *headers))
    if not target.exists() or target.stat().st_mtime < newest:
        target.parent.mkdir(exist_ok=True)
        command = [compiler(), *FLAGS, *flags, f"-I{ROOT / '_core'}", str(source), "-o", str(target), "-lm"]
        subprocess.run(command, check=True)
    return ctypes.CDLL(str(target))
