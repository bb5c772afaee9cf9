"""Tensors between two processes through shared memory: copied in once, and nothing has a name that could leak."""

from __future__ import annotations

import io
import mmap
import os
import pickle
import struct
import tempfile
import weakref
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch

__all__ = ["Arena", "Place", "packed_place", "unpacked_place"]

#: Cache line; every dtype is aligned to it.
_ALIGN = 64

#: A tensor in the arena: number of its dtype, first byte, shape.
Place = tuple[int, int, tuple[int, ...]]

#: The same in both processes, which run the same torch.
_DTYPES = sorted({d for d in vars(torch).values() if isinstance(d, torch.dtype)}, key=str)
_NUMBERS = {dtype: i for i, dtype in enumerate(_DTYPES)}

#: Views that an arena keeps: one of a tensor that was there before takes a tenth of the time of a new one.
_N_VIEWS = 64

_PLACE = struct.Struct("<BBQ")

#: What the packed bytes of a value begin with.
_TENSOR, _PICKLE = b"t", b"p"


class Arena:
    """An anonymous shared mapping that holds the tensors of one message at a time.

    Both sides open the same file descriptor; whoever needs more grows the file, and the other maps it again when
    a place lies beyond what it has mapped. Everything but tensors travels in the returned bytes.
    """

    def __init__(self, fd: int) -> None:
        """fd: from `create`, or inherited. It is closed with the arena: never under a thread that still packs."""
        self.fd = fd
        weakref.finalize(self, os.close, fd)
        self._used = 0
        self._views: dict[Place, torch.Tensor] = {}  # jobs mostly look like those before
        self._map()

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
        if type(value) is torch.Tensor:
            return _TENSOR + packed_place(self.put((value,)))
        out = io.BytesIO()
        out.write(_PICKLE)
        _Pickler(out, self).dump(value)
        return out.getvalue()

    def unpack(self, data: bytes) -> Any:
        """The value that the other side packed, in memory of its own."""
        if data[:1] == _TENSOR:
            return self._view(_only_place(data)).clone()
        return _Unpickler(io.BytesIO(data[1:]), self).load()

    def pack_joined(self, batch: Sequence[tuple[torch.Tensor, ...]]) -> list[Place]:
        """Overwrites the arena with a batch's inputs, each joined along dimension 0; one member's as they are."""
        self._used = 0
        if len(batch) == 1:
            return [self.put((tensor,)) for tensor in batch[0]]
        return [self.put(tensors) for tensors in zip(*batch, strict=True)]

    def put(self, tensors: tuple[torch.Tensor, ...]) -> Place:
        """Copies what is to be one tensor behind what lies there already."""
        first = tensors[0]
        shape = tuple(first.shape)
        n_bytes = first.nbytes
        if len(tensors) > 1:
            shape = (sum(t.shape[0] for t in tensors), *shape[1:])
            n_bytes = sum(t.nbytes for t in tensors)
        start = -(-self._used // _ALIGN) * _ALIGN
        self._used = start + n_bytes
        if self._used > len(self._memory):
            os.ftruncate(self.fd, max(self._used, 2 * len(self._memory)))
            self._map()
        place = _NUMBERS[first.dtype], start, shape
        view = self._views.get(place)
        if view is None:
            view = self._view(place)
        if len(tensors) == 1:
            view.copy_(first.detach() if first.requires_grad else first)
        else:
            torch.cat([t.detach() if t.requires_grad else t for t in tensors], out=view)
        return place

    def view(self, place: Place) -> torch.Tensor:
        """A tensor of the caller's own that lies in the arena until the next message."""
        return self._view(place).view(place[2])

    def _view(self, place: Place) -> torch.Tensor:
        known = self._views.get(place)
        if known is not None:
            return known
        if len(self._views) >= _N_VIEWS:
            self._views.clear()
        view = self._views[place] = self._new_view(place)
        return view

    def _new_view(self, place: Place) -> torch.Tensor:
        number, start, shape = place
        dtype = _DTYPES[number]
        count = 1
        for n in shape:
            count *= n
        if count == 0:
            return torch.empty(shape, dtype=dtype)
        if start + count * dtype.itemsize > len(self._memory):
            self._map()
        return torch.frombuffer(self._memory, dtype=dtype, count=count, offset=start).view(shape)

    def _map(self) -> None:
        """The file as large as it is now. Views of the old mapping keep it alive; the pages are the same."""
        self._memory = mmap.mmap(self.fd, os.fstat(self.fd).st_size)
        self._views.clear()


@lru_cache(_N_VIEWS)
def packed_place(place: Place) -> bytes:
    number, start, shape = place
    return _PLACE.pack(number, len(shape), start) + struct.pack(f"<{len(shape)}q", *shape)


def unpacked_place(data: bytes, at: int) -> tuple[Place, int]:
    """The place that begins at a byte, and the first byte after it."""
    number, n, start = _PLACE.unpack_from(data, at)
    at += _PLACE.size
    return (number, start, struct.unpack_from(f"<{n}q", data, at)), at + 8 * n


@lru_cache(_N_VIEWS)
def _only_place(data: bytes) -> Place:
    """Of a packed value that is a tensor."""
    return unpacked_place(data, len(_TENSOR))[0]


class _Pickler(pickle.Pickler):
    def __init__(self, out: io.BytesIO, arena: Arena) -> None:
        super().__init__(out, protocol=5)
        self._arena = arena

    def persistent_id(self, obj: Any) -> Place | None:
        return self._arena.put((obj,)) if isinstance(obj, torch.Tensor) else None


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: io.BytesIO, arena: Arena) -> None:
        super().__init__(data)
        self._arena = arena

    def persistent_load(self, pid: Any) -> torch.Tensor:
        return self._arena.view(pid).clone()
