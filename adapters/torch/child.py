"""The other end of a process worker: `python -m tailwise.adapters.torch.child CONTROL DEVICE THREADS FD...`.

One thread reads what concerns the whole process, one thread a slot runs its jobs. The process ends when the parent
closes its pipes or dies.
"""

from __future__ import annotations

import os
import pickle
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any

import torch

from tailwise.adapters.torch.arena import Arena
from tailwise.adapters.torch.batch import Piece
from tailwise.adapters.torch.channel import ACK, BYE, Channel, Kind, Reply, Request
from tailwise.adapters.torch.device import Device, open_device
from tailwise.adapters.torch.loading import Shipped, load, unship
from tailwise.adapters.torch.serving import Serving
from tailwise.adapters.torch.worker import Inputs, as_exception
from tailwise.errors import WorkerError

__all__ = ["main"]

#: The process ends so when its device is lost.
LOST_EXIT_CODE = 3

Models = dict[int, Callable[..., Any]]


def main(control: int, device: str, threads: int, fds: list[int]) -> None:
    """fds: for each slot, of the pipes that it reads from and writes to, and of its input and its output arena."""
    for fd in (control, *fds):
        os.set_inheritable(fd, False)  # a program that a model starts must not keep them open
    torch.set_num_threads(threads)
    connection: Connection[Any, Any] = Connection(control)
    models: Models = {}
    try:
        paths, first = connection.recv()
        sys.path += [path for path in paths if path not in sys.path]
        opened = _open(device)
        loaded = [_load(models, device, *each) for each in first]
        slots = [_Slot(models, opened, *fds[i : i + 4]) for i in range(0, len(fds), 4)]
    except Exception as error:
        connection.send(("refused", *portable(error)))
        return
    for slot in slots:
        slot.thread.start()
    connection.send(("loaded", loaded))
    threading.Thread(target=_control, args=(connection, models, device), daemon=True).start()
    for slot in slots:
        slot.thread.join()


def _open(device: str) -> Device:
    try:
        return open_device(device)
    except Exception as error:
        raise WorkerError(f"the process of the worker cannot use {device!r}: {error}") from error


def _load(models: Models, device: str, number: int, name: str, shipped: Shipped) -> tuple[int, float]:
    models[number], loaded = load(name, unship(name, shipped), device)
    return loaded.n_bytes, loaded.seconds


def _control(connection: Connection[Any, Any], models: Models, device: str) -> None:
    """Loads and unloads; its end is the parent's, which can die under a job that hangs."""
    try:
        while True:
            kind, number, *rest = connection.recv()
            if kind == "load":
                try:
                    connection.send(("loaded", _load(models, device, number, *rest)))
                except Exception as error:
                    connection.send(("refused", *portable(error)))
            else:
                del models[number]
                if torch.device(device).type == "cuda":
                    torch.cuda.empty_cache()  # for the other processes on the device
    except (EOFError, OSError):
        os._exit(0)  # the parent is gone: nobody waits for what still runs


def portable(error: BaseException) -> tuple[bytes | None, str, str]:
    """An exception for the other side: pickled where that works there, its one-line form, and its traceback."""
    text = "".join(traceback.format_exception(error))
    line = "".join(traceback.format_exception_only(error)).strip()  # also where its __str__ raises
    try:
        data = pickle.dumps(error)
        pickle.loads(data)
    except Exception:
        return None, line, text
    return data, line, text


class _Slot:
    """Serves one request after the other."""

    def __init__(self, models: Models, device: Device, *fds: int) -> None:
        self._models = models
        self._path = device.path()
        reads, writes, inputs, outputs = fds
        self._channel = Channel(reads, writes)
        self._inputs = Arena(inputs)
        self._outputs = Arena(outputs)
        self._ends = False
        self._read: tuple[bytes, Request] | None = None  # jobs mostly look like the one before
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            with torch.inference_mode():
                while not self._ends:
                    message = self._channel.receive()
                    if message == BYE:
                        return
                    if self._read is None or self._read[0] != message:
                        self._read = message, Request.unpack(message)
                    self._serve(self._read[1])
        except (EOFError, OSError):
            return

    def _serve(self, request: Request) -> None:
        joined = tuple(map(self._inputs.view, request.places))
        sizes = request.sizes

        def part(first: int, n: int) -> Sequence[Inputs]:
            if n >= len(sizes):
                return [joined]
            start, rows = sum(sizes[:first]), sum(sizes[first : first + n])
            return [tuple(tensor.narrow(0, start, rows) for tensor in joined)]

        served = Serving(
            self._path,
            self._models[request.model],
            part,
            max(1, len(sizes)),
            self._output if request.streams else None,
        )
        self._answer(served)
        if served.lost is not None:
            os._exit(LOST_EXIT_CODE)

    def _answer(self, served: Serving) -> None:
        pieces = served.pieces
        whole = len(pieces) == 1 and pieces[0][2] is None
        kind = Kind.VALUE if whole else Kind.PIECES if served.lost is None else Kind.LOST
        begin_ns = time.monotonic_ns()
        try:
            packed = self._outputs.pack(pieces[0][1] if whole else _portable_pieces(pieces))
        except BaseException as error:  # what cannot be pickled, say
            kind = Kind.PIECES
            n = sum(n for n, _, _ in pieces)
            packed = self._outputs.pack(_portable_pieces([(n, None, as_exception(error))]))
        copy_ns = served.copy_ns + time.monotonic_ns() - begin_ns
        self._channel.send(Reply(kind, copy_ns, served.n_calls, served.out_of_memory, packed).pack())

    def _output(self, value: Any, now_ns: int) -> bool:
        packed = self._outputs.pack((value, now_ns))
        self._channel.send(Reply(Kind.OUTPUT, 0, 0, False, packed).pack())
        while (answer := self._channel.receive()) != ACK:
            self._ends = answer == BYE  # after this job
        return True


def _portable_pieces(pieces: Sequence[Piece]) -> list[tuple[int, Any, Any]]:
    return [(n, value, None if error is None else portable(error)) for n, value, error in pieces]


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), [int(fd) for fd in sys.argv[4:]])
