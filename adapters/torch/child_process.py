"""The process of a process worker as its parent sees it, from its start to its end."""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

from tailwise.adapters.torch.arena import Arena
from tailwise.adapters.torch.batch import Piece, results_of
from tailwise.adapters.torch.channel import ACK, BYE, Channel, Kind, Reply, Request
from tailwise.adapters.torch.loading import Shipped
from tailwise.adapters.torch.slots import Job, Slots
from tailwise.adapters.torch.worker import Loaded, Outcome
from tailwise.errors import WorkerError

__all__ = ["ChildProcess"]


class ChildProcess:
    """Spawned at once; `begin` waits for it, `end` gives back all that it took."""

    def __init__(
        self, name: str, device: str, slots: Slots, n_slots: int, threads: int, env: Mapping[str, str]
    ) -> None:
        """slots: of its jobs; the others as of `ProcessWorker`."""
        self._name = name
        self.slots = slots
        self._control: Connection[Any, Any]
        self._control, theirs = Pipe()
        self._lines = [_Line(slots) for _ in range(n_slots)]
        fds = [fd for line in self._lines for fd in line.theirs]
        self._answers: queue.SimpleQueue[tuple[Any, ...] | None] = queue.SimpleQueue()
        self._send_lock = threading.Lock()
        self._end_lock = threading.Lock()
        self._readers: list[threading.Thread] = []  # one a slot
        self._watch: threading.Thread | None = None
        module = "tailwise.adapters.torch.child"
        arguments = [str(theirs.fileno()), device, str(threads), *map(str, fds)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env={**os.environ, "OMP_NUM_THREADS": str(threads), **env},
            pass_fds=[theirs.fileno(), *fds],
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in the terminal is the parent's to handle
        )
        theirs.close()
        for line in self._lines:
            line.spawned()

    @property
    def pid(self) -> int:
        return self._process.pid

    def begin(self, models: Sequence[tuple[int, str, Shipped]]) -> None:
        """Loads models by number; from here on jobs are taken. Raises what loading raises, WorkerError."""
        try:
            self._control.send((sys.path, models))
            answer = self._control.recv()
        except (EOFError, OSError):
            error = self._death()
            self.end()
            raise error from None
        if answer[0] != "loaded":
            self.end()
            raise _received(*answer[1:])
        self._readers = [
            threading.Thread(target=line.run, name=f"tailwise-{self._name}-{i}", daemon=True)
            for i, line in enumerate(self._lines)
        ]
        for reader in self._readers:
            reader.start()
        self._watch = threading.Thread(target=self._run, name=f"tailwise-{self._name}", daemon=True)
        self._watch.start()
        self.slots.begin(
            {name: (Loaded(*loaded), n) for (n, name, _), loaded in zip(models, answer[1], strict=True)}
        )

    def load(self, number: int, name: str, shipped: Shipped) -> Loaded:
        """One at a time. Raises what loading raises, WorkerError when the process ends."""
        with contextlib.suppress(OSError), self._send_lock:
            self._control.send(("load", number, name, shipped))
        answer = self._answers.get()
        if answer is None:
            self._answers.put(None)
            raise self._death()
        if answer[0] != "loaded":
            raise _received(*answer[1:])
        return Loaded(*answer[1])

    def unload(self, number: int) -> None:
        with contextlib.suppress(OSError), self._send_lock:
            self._control.send(("unload", number))

    def send(self, job: Job) -> None:
        """Hands a job over that has a slot. Raises what its inputs raise."""
        self._lines[job.slot].send(job)

    def close(self, timeout_s: float) -> None:
        """Ends it after the jobs that run, or after a time."""
        for line in self._lines:
            with contextlib.suppress(OSError):
                line.channel.send(BYE)
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self.end()

    def kill(self) -> None:
        self._process.kill()
        # else it would wait for the callback that calls it
        if threading.current_thread() not in (*self._readers, self._watch):
            self.end()

    def stop_for(self, job: Job, outcome: Outcome, error: WorkerError) -> None:
        """Kills it; one job ends with an outcome of its own, the others with `error`."""
        if not job.ended:
            self._process.kill()
            self.slots.fail(error, (job, outcome))

    def end(self) -> None:
        """Gives back everything; the process has ended or ends now. Idempotent."""
        self._process.kill()
        self._process.wait()
        for thread in self._readers:
            if thread is not threading.current_thread():
                thread.join()
        if self._watch is not None:
            self._watch.join()
        self.slots.fail(self._death())
        # who kills it and who starts the next one may be here at once: a descriptor closed twice is somebody else's
        with self._end_lock:
            self._control.close()
            for line in self._lines:
                line.close()
            self._lines = []  # their arenas keep memory

    def _run(self) -> None:
        """Answers to `load`; at the end of the process, after all that it still said, ends its open jobs."""
        with contextlib.suppress(EOFError, OSError):
            while True:
                self._answers.put(self._control.recv())
        self._answers.put(None)
        error = self._death()
        for reader in self._readers:
            reader.join()
        self.slots.fail(error)

    def _death(self) -> WorkerError:
        """Why the process is gone; its socket is closed, so it ends now if it has not."""
        try:
            code = self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        reason = f"signal {_signal_name(-code)}" if code < 0 else f"exit code {code}"
        return WorkerError(f"the process of worker {self._name!r} ended ({reason})")


class _Line:
    """One slot: its pipes and its arenas; `run` waits for its replies."""

    def __init__(self, slots: Slots) -> None:
        requests, replies = os.pipe(), os.pipe()
        self.channel = Channel(replies[0], requests[1])
        self._slots = slots
        self._arenas = Arena.create(), Arena.create()
        #: What the child inherits.
        self.theirs = requests[0], replies[1], self._arenas[0].fd, self._arenas[1].fd
        self._job: Job | None = None
        self._sent: tuple[Request, bytes] | None = None  # jobs mostly look like the one before

    def spawned(self) -> None:
        """The child has its ends of the pipes: else nobody would see the other side's end."""
        for fd in self.theirs[:2]:
            os.close(fd)

    def send(self, job: Job) -> None:
        inputs = self._arenas[0]
        begin_ns = time.monotonic_ns()
        places = inputs.pack_joined(job.batch)
        job.copy_ns = time.monotonic_ns() - begin_ns
        self._job = job
        request = Request(job.entry, job.on_output is not None, places, job.sizes)
        if self._sent is None or self._sent[0] != request:
            self._sent = request, request.pack()
        try:
            self.channel.send(self._sent[1])
        except OSError:  # it just died: its open jobs end by that
            return

    def close(self) -> None:
        self.channel.close()

    def run(self) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                reply = Reply.unpack(self.channel.receive())
                job = self._job
                assert job is not None
                if reply.kind == Kind.OUTPUT:
                    self._output(job, reply)
                    continue
                self._job = None
                outcome = self._outcome(job, reply)
                if reply.kind == Kind.LOST:
                    error = WorkerError("the device of its process was lost")
                    self._slots.fail(error, (job, outcome))
                else:
                    self._slots.end(job, outcome)
                del job, outcome, reply

    def _output(self, job: Job, reply: Reply) -> None:
        try:
            value, now_ns = self._arenas[1].unpack(reply.packed)
        except Exception as error:  # it needs a module that only the child can import, say
            job.broken = error
        self.channel.send(ACK)
        if job.broken is None:
            job.output(value, now_ns)

    def _outcome(self, job: Job, reply: Reply) -> Outcome:
        n = len(job.batch)
        begin_ns = time.monotonic_ns()
        try:
            value = self._arenas[1].unpack(reply.packed)
            if reply.kind == Kind.VALUE:
                pieces: list[Piece] = [(n, value, None)]
            else:
                pieces = [(n, v, None if error is None else _received(*error)) for n, v, error in value]
        except Exception as error:
            job.broken = error
        if job.broken is not None:
            pieces = [(n, None, job.broken)]
        end_ns = time.monotonic_ns()
        copy_ns = job.copy_ns + reply.copy_ns + end_ns - begin_ns
        results = results_of(job.model, pieces, job.sizes)
        lost = reply.kind == Kind.LOST
        return Outcome(results, job.start_ns, end_ns, copy_ns, reply.n_calls, reply.out_of_memory, lost)


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
