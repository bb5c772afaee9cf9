"""Messages between a process worker and its process: a slot has two pipes of its own, and a thread at each end."""

from __future__ import annotations

import io
import struct
import threading
from typing import NamedTuple

from tailwise.adapters.torch.arena import Place, packed_place, unpacked_place

__all__ = ["ACK", "BYE", "Channel", "Kind", "Reply", "Request"]

_LENGTH = struct.Struct("<I")
_REQUEST = struct.Struct("<IIHH")
_REPLY = struct.Struct("<BqI?")

#: The parent has copied an output out: its place in the arena may be written again.
ACK = b"ok"

#: The slot's thread ends when it has answered.
BYE = b"bye"


class Channel:
    """Whole messages over two pipes. Any thread may send, one receives.

    Not over a pair of sockets: what one side reads wakes the other, that waits for an answer, once more than it has
    to be, and a round trip took twice as long.
    """

    def __init__(self, reads: int, writes: int) -> None:
        """Descriptors of one pipe's end to read from and of the other's to write to; they are the channel's."""
        self._reads = io.FileIO(reads, "rb")
        self._writes = io.FileIO(writes, "wb")
        self._rest = b""
        self._lock = threading.Lock()  # of sending

    def send(self, message: bytes) -> None:
        """Raises OSError when the other side is gone, or this one is closed."""
        data = _LENGTH.pack(len(message)) + message
        with self._lock:
            if self._writes.closed:
                raise BrokenPipeError("the channel is closed")
            sent = self._writes.write(data)
            while sent < len(data):  # a large one that a signal interrupted
                sent += self._writes.write(data[sent:])

    def receive(self) -> bytes:
        """Raises EOFError, OSError when the other side is gone."""
        # a message mostly comes in one piece, and nothing follows before it was answered
        data = self._rest or self._more(4096)
        while len(data) < 4:
            data += self._more(4096)
        end = 4 + _LENGTH.unpack_from(data)[0]
        while len(data) < end:
            data += self._more(end - len(data))
        self._rest = data[end:]
        return data[4:end]

    def _more(self, n_bytes: int) -> bytes:
        more = self._reads.read(n_bytes)
        if not more:
            raise EOFError
        return more

    def close(self) -> None:
        """When nobody receives any more."""
        with self._lock:
            self._reads.close()
            self._writes.close()


class Request(NamedTuple):
    """A batch whose joined inputs lie in the arena."""

    model: int  #: as it was loaded
    streams: bool  #: outputs of an iterator are wanted one by one
    places: list[Place]
    sizes: list[int]  #: rows of each member; [] of a batch of one

    def pack(self) -> bytes:
        head = _REQUEST.pack(self.model, len(self.sizes), len(self.places), self.streams)
        sizes = struct.pack(f"<{len(self.sizes)}q", *self.sizes)
        return head + sizes + b"".join(map(packed_place, self.places))

    @staticmethod
    def unpack(data: bytes) -> Request:
        model, n_sizes, n_places, streams = _REQUEST.unpack_from(data)
        at = _REQUEST.size
        sizes = list(struct.unpack_from(f"<{n_sizes}q", data, at))
        at += 8 * n_sizes
        places: list[Place] = []
        for _ in range(n_places):
            place, at = unpacked_place(data, at)
            places.append(place)
        return Request(model, bool(streams), places, sizes)


class Kind:
    """Of a reply."""

    VALUE = 0  #: one value of all members
    PIECES = 1  #: a batch that was halved, or an error
    OUTPUT = 2  #: one of several; the parent answers ACK
    LOST = 3  #: PIECES, and the process ends since its device is lost


class Reply(NamedTuple):
    kind: int
    copy_ns: int
    n_calls: int
    out_of_memory: bool
    packed: bytes  #: by the arena

    def pack(self) -> bytes:
        return _REPLY.pack(self.kind, self.copy_ns, self.n_calls, self.out_of_memory) + self.packed

    @staticmethod
    def unpack(data: bytes) -> Reply:
        kind, copy_ns, n_calls, out_of_memory = _REPLY.unpack_from(data)
        return Reply(kind, copy_ns, n_calls, out_of_memory, data[_REPLY.size :])
