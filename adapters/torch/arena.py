"""Tensors between two processes through shared memory: copied in once, and nothing has a name that could leak."""

from __future__ import annotations

import io
import mmap
import os
import pickle
import tempfile
import weakref
from typing import Any

import torch

__all__ = ["Arena"]

#: Cache line; every dtype is aligned to it.
_ALIGN = 64

#: A tensor in the arena: dtype name, shape, first byte.
_Place = tuple[str, tuple[int, ...], int]


class Arena:
    """An anonymous shared mapping that holds the tensors of one message at a time.

    Both sides open the same file descriptor; whoever needs more grows the file, and the other maps it again when
    a place lies beyond what it has mapped. Everything but tensors travels in the returned bytes.
    """

    def __init__(self, fd: int) -> None:
        """fd: from `create`, or inherited. It is closed with the arena: never under a thread that still packs."""
        self.fd = fd
        weakref.finalize(self, os.close, fd)
        self._memory = self._map()
        self._used = 0

    @staticmethod
    def create(n_bytes: int = 1 << 20) -> Arena:
        """A new arena; its descriptor is inheritable only where it is passed on by hand."""
        if hasattr(os, "memfd_create"):
            fd = os.memfd_create("tailwise")
        else:
            with tempfile.TemporaryFile() as file:
                fd = os.dup(file.fileno())
        os.ftruncate(fd, n_bytes)
        return Arena(fd)

    def pack(self, value: Any) -> bytes:
        """Overwrites the arena with the tensors inside `value`; returns the rest as bytes for `unpack`."""
        self._used = 0
        out = io.BytesIO()
        _Pickler(out, self).dump(value)
        return out.getvalue()

    def unpack(self, data: bytes, *, copy: bool) -> Any:
        """The value that the other side packed. copy: own memory; else views that the next message overwrites."""
        return _Unpickler(io.BytesIO(data), self, copy).load()

    def put(self, tensor: torch.Tensor) -> _Place:
        start = -(-self._used // _ALIGN) * _ALIGN
        self._used = start + tensor.numel() * tensor.element_size()
        if self._used > len(self._memory):
            # views of the old mapping keep it alive; the pages are the same
            os.ftruncate(self.fd, max(self._used, 2 * len(self._memory)))
            self._memory = self._map()
        place = (str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape), start)
        self.view(place).copy_(tensor)
        return place

    def view(self, place: _Place) -> torch.Tensor:
        name, shape, start = place
        dtype = getattr(torch, name)
        count = torch.Size(shape).numel()
        if count == 0:
            return torch.empty(shape, dtype=dtype)
        if start + count * dtype.itemsize > len(self._memory):
            self._memory = self._map()
        return torch.frombuffer(self._memory, dtype=dtype, count=count, offset=start).reshape(shape)

    def _map(self) -> mmap.mmap:
        return mmap.mmap(self.fd, os.fstat(self.fd).st_size)


class _Pickler(pickle.Pickler):
    def __init__(self, out: io.BytesIO, arena: Arena) -> None:
        super().__init__(out, protocol=5)
        self._arena = arena

    def persistent_id(self, obj: Any) -> _Place | None:
        return self._arena.put(obj.detach()) if isinstance(obj, torch.Tensor) else None


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: io.BytesIO, arena: Arena, copy: bool) -> None:
        super().__init__(data)
        self._arena = arena
        self._copy = copy

    def persistent_load(self, pid: Any) -> torch.Tensor:
        view = self._arena.view(pid)
        return view.clone() if self._copy else view
