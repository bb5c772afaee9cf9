"""Versions of the kernels that this processor runs, and how tests get at each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tailwise._core.core import PATHS, path, use_path

__all__ = ["PATHS", "on_path"]


@contextmanager
def on_path(name: str) -> Iterator[None]:
    """Has the process run this version meanwhile."""
    before = path()
    use_path(name)
    try:
        yield
    finally:
        use_path(before)
