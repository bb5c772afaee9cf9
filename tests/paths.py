"""Versions of the kernels that this processor runs, and how tests get at each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tailwise._core import core

__all__ = ["PATHS", "on_path"]

# until the core chooses the version itself there is the one that the loader chose
PATHS: tuple[str, ...] = getattr(core, "PATHS", ("avx2",))


@contextmanager
def on_path(name: str) -> Iterator[None]:
    """Has the process run this version meanwhile."""
    if not hasattr(core, "use_path"):
        yield
        return
    before = core.path()
    core.use_path(name)
    try:
        yield
    finally:
        core.use_path(before)
