"""A worker in its own process: messages over an inherited socket, tensors through shared memory."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

import torch

from tailwise.adapters.torch.arena import Arena
from tailwise.adapters.torch.loading import ship_all
from tailwise.adapters.torch.worker import Done, ModelSource, Outcome, Slots
from tailwise.errors import WorkerError

__all__ = ["ProcessWorker"]


class ProcessWorker:
    """See `tailwise.adapters.torch.Process`, which builds it."""

    def __init__(self, name: str, device: str, slots: int, threads: int, env: Mapping[str, str]) -> None:
        self.name = name
        self.slots = slots
        self.closed = False
        self._device = device
        self._threads = threads
        self._env = dict(env)
        self._slots = Slots(name, slots)
        self._arenas: list[tuple[Arena, Arena]] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection[Any, Any] | None = None
        self._reader: threading.Thread | None = None
        self._send_lock = threading.Lock()
        self._life_lock = threading.Lock()  # start, close and kill, one at a time

    @property
    def alive(self) -> bool:
        return self._slots.alive

    @property
    def pid(self) -> int | None:
        """Of the process; None before `start`."""
        return None if self._process is None else self._process.pid

    def start(self, models: Mapping[str, ModelSource]) -> None:
        with self._life_lock:
            self._start(models)

    def _start(self, models: Mapping[str, ModelSource]) -> None:
        shipped = ship_all(models)
        self._slots.refuse_a_start()
        self._end_process()
        self._arenas = [(Arena.create(), Arena.create()) for _ in range(self.slots)]
        self._connection, theirs = Pipe()
        fds = [arena.fd for pair in self._arenas for arena in pair]
        threads = str(self._threads)
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tailwise.adapters.torch.child",
                str(theirs.fileno()),
                self._device,
                threads,
            ]
            + [str(fd) for fd in fds],
            env={**os.environ, "OMP_NUM_THREADS": threads, **self._env},
            pass_fds=[theirs.fileno(), *fds],
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in the terminal is the parent's to handle
        )
        theirs.close()
        try:
            self._connection.send((sys.path, shipped))
            answer = self._connection.recv()
        except (EOFError, OSError):
            error = self._death()
            self._end_process()
            raise error from None
        if answer[0] != "ready":
            self._end_process()
            raise _received(*answer[1:])
        slots = Slots(self.name, self.slots)
        slots.begin(models)
        self._reader = threading.Thread(
            target=self._read, args=(self._connection, slots), name=f"tailwise-{self.name}", daemon=True
        )
        self._reader.start()
        self.closed = False
        self._slots = slots  # last: from here on jobs are taken

    def submit(self, model: str, inputs: tuple[torch.Tensor, ...], done: Done) -> None:
        slots = self._slots
        slot = slots.take(model, done)
        try:
            arena, connection = self._arenas[slot][0], self._connection
            data = arena.pack(tuple(inputs))
        except BaseException:
            if slots.give_back(slot):
                raise
            return  # killed meanwhile: the job was told so
        with contextlib.suppress(OSError), self._send_lock:  # it just died: the reader ends its open jobs
            if connection is not None:
                connection.send((slot, model, data))

    def close(self, timeout_s: float = 5.0) -> None:
        self.closed = True
        with self._life_lock:
            self._close(timeout_s)

    def _close(self, timeout_s: float) -> None:
        if self._process is None:
            return
        try:
            with self._send_lock:
                assert self._connection is not None
                self._connection.send(None)
            self._process.wait(timeout_s)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
        if self._reader is not None:
            self._reader.join()
        self._end_process()

    def kill(self) -> None:
        process, reader = self._process, self._reader
        if process is not None:
            process.kill()  # before the lock: whoever holds it may be waiting for a model that hangs
        if reader is threading.current_thread():
            return  # a callback kills it: this thread tells the open jobs when the callback is back
        with self._life_lock:
            if self._reader is not None:
                self._reader.join()
            self._end_process()

    def _read(self, connection: Connection[Any, Any], slots: Slots) -> None:
        while True:
            try:
                kind, slot, start_ns, end_ns, *rest = connection.recv()
            except (EOFError, OSError):
                slots.fail(self._death(), time.monotonic_ns())
                return
            if kind == "done":
                try:
                    value = self._arenas[slot][1].unpack(rest[0], copy=True)
                    outcome = Outcome(value, None, start_ns, end_ns)
                except Exception as error:
                    outcome = Outcome(None, error, start_ns, end_ns)
            else:
                outcome = Outcome(None, _received(*rest), start_ns, end_ns)
            slots.end(slot, outcome)

    def _death(self) -> WorkerError:
        """Why the process is gone; its socket is closed, so it ends now if it has not."""
        assert self._process is not None
        try:
            code = self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        reason = f"signal {_signal_name(-code)}" if code < 0 else f"exit code {code}"
        return WorkerError(f"the process of worker {self.name!r} ended ({reason})")

    def _end_process(self) -> None:
        """Gives back everything that `start` took; the process has ended or ends now."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._connection is not None:
            self._connection.close()
        self._process, self._connection, self._reader, self._arenas = None, None, None, []


def _received(data: bytes | None, line: str, text: str) -> BaseException:
    """The child's exception, its traceback there as a note."""
    error: object = None
    if data is not None:
        with contextlib.suppress(Exception):  # it may need a module that only the child can import
            error = pickle.loads(data)
    if not isinstance(error, BaseException):
        error = WorkerError(line)
    error.add_note("in the worker process:\n" + text)
    return error


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # most real-time signals have none
        return str(number)
