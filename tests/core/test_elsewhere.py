"""The core on instruction sets that this machine may not have: what it is compiled from, by a cross compiler."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from bench.bare import FLAGS
from tests.paths import PATHS

ROOT = Path(__file__).parent.parent.parent
HARNESS = Path(__file__).with_name("series.c")
DEBIAN = ("gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross", "qemu-user")
#: As their headers state them, of phi half of an ulp of 1 beside it
ERRORS = {
    "exp": 2e-7,
    "ln": 2e-7,
    "log1p": 3e-6,
    "expm1": 4e-7,
    "sqrt": 6e-8,
    "root": 3e-7,
    "inv": 3e-7,
    "phi": 4e-7,
    "ln_d": 1e-15,
    "ln_d_near_1": 1e-15,
    "series": 1e-15,
    "phi_d": 1e-15,
    "student_p": 1e-6,
}

# The build as setup.py declares it where the processor is an aarch64: of the core, its C files and flags.
DECLARED = """
import json, platform, sys
import setuptools
from distutils.core import run_setup
platform.machine = lambda: "aarch64"
core, = [e for e in run_setup("setup.py", stop_after="init").ext_modules if e.name == "tailwise._core.core"]
macros = [f"-D{name}" + ("" if value is None else f"={value}") for name, value in core.define_macros]
include = [f"-I{folder}" for folder in core.include_dirs]
print("\\n", json.dumps([core.sources, core.extra_compile_args + macros + include]))
"""


def errors_of(command: list[str], built: Path, run: list[str]) -> dict[str, float]:
    flags = ["-O3", "-fno-math-errno", "-fno-trapping-math", "-Wno-psabi", f"-I{ROOT / '_core'}"]
    subprocess.run([*command, *flags, HARNESS, "-o", built, "-lm"], check=True)
    said = subprocess.run([*run, built], capture_output=True, text=True, check=True).stdout
    return {name: float(error) for name, error in map(str.split, said.splitlines())}


def within(errors: dict[str, float]) -> bool:
    return errors.keys() == ERRORS.keys() and all(errors[name] < most for name, most in ERRORS.items())


@pytest.mark.parametrize("path", PATHS)
def test_series_keep_their_errors_on_this_processor(path: str, tmp_path: Path) -> None:
    compiler = shlex.split(sysconfig.get_config_var("CC") or "cc")[0]
    errors = errors_of([compiler, *FLAGS[path]], tmp_path / "series", [])
    assert within(errors), errors


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("compiler", ["gcc-9", "gcc-10", "gcc-11", "clang-14", "clang"])
def test_series_keep_their_errors_by_other_compilers(compiler: str, path: str, tmp_path: Path) -> None:
    """Of those that are installed; by clang only the plain version is made (versions.h)."""
    if not shutil.which(compiler) or ("clang" in compiler and path != "plain"):
        pytest.skip(f"no {compiler} here, or no {path} by it")
    errors = errors_of([compiler, *FLAGS[path]], tmp_path / "series", [])
    assert within(errors), errors


@pytest.fixture(scope="module")
def cross_compiler() -> str:
    """Installed from Debian where that is possible; else what is missing is the reason of the skip."""
    compiler = "aarch64-linux-gnu-gcc"
    if not (shutil.which(compiler) and shutil.which("qemu-aarch64")):
        if not shutil.which("apt-get") or os.geteuid() != 0:
            pytest.skip(f"needs {compiler} and qemu-aarch64: Debian's {', '.join(DEBIAN)}")
        done = subprocess.run(["apt-get", "install", "-y", *DEBIAN], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"apt-get install {' '.join(DEBIAN)}: {done.stderr.strip()[-300:]}")
    return compiler


@pytest.mark.long
def test_the_core_compiles_for_aarch64(cross_compiler: str, tmp_path: Path) -> None:
    """With this machine's headers of Python and NumPy, which are the same for every processor of 64 bits."""
    for name in ("_core", "engine", "adapters"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path / name)
    command = [sys.executable, "-c", DECLARED]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    sources, flags = json.loads(said.splitlines()[-1])
    assert any(source.endswith("core.c") for source in sources)
    for source in sources:
        target = tmp_path / f"{Path(source).stem}.o"
        include = f"-I{sysconfig.get_path('include')}"
        subprocess.run(
            [cross_compiler, "-c", "-fPIC", *flags, include, source, "-o", target], cwd=tmp_path, check=True
        )
        assert target.read_bytes()[18:20] == b"\xb7\x00"  # the ELF header's machine: 183, AArch64


@pytest.mark.long
def test_series_keep_their_errors_on_aarch64(cross_compiler: str, tmp_path: Path) -> None:
    """Emulated; the vectors are NEON's."""
    errors = errors_of([cross_compiler, "-static", "-DTW_WIDTH=4"], tmp_path / "series", ["qemu-aarch64"])
    assert within(errors), errors
