"""The other end of a process worker: `python -m tailwise.adapters.torch.child SOCKET DEVICE THREADS FD...`.

One thread reads messages, one thread a slot runs jobs. The process ends when the parent closes the socket or dies.
"""

from __future__ import annotations

import os
import pickle
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import torch

from tailwise.adapters.torch.arena import Arena
from tailwise.adapters.torch.loading import load_all, unship_all
from tailwise.adapters.torch.worker import as_exception

__all__ = ["main"]

Job = tuple[str, bytes]


def main(socket: int, device: str, threads: int, fds: list[int]) -> None:
    """fds: for each slot, the descriptors of its input and its output arena."""
    for fd in (socket, *fds):
        os.set_inheritable(fd, False)  # a program that a model starts must not keep the socket open
    torch.set_num_threads(threads)
    connection: Connection[Any, Any] = Connection(socket)
    send_lock = threading.Lock()

    def send(message: tuple[Any, ...]) -> None:
        with send_lock:
            connection.send(message)

    try:
        paths, shipped = connection.recv()
        sys.path += [path for path in paths if path not in sys.path]
        models = load_all(unship_all(shipped), device)
    except Exception as error:
        send(("refused", *portable(error)))
        return
    slots: list[queue.SimpleQueue[Job | None]] = [queue.SimpleQueue() for _ in range(len(fds) // 2)]
    runners = [
        threading.Thread(
            target=_run, args=(i, jobs, models, device, Arena(fds[2 * i]), Arena(fds[2 * i + 1]), send)
        )
        for i, jobs in enumerate(slots)
    ]
    for runner in runners:
        runner.start()
    send(("ready",))
    threading.Thread(target=_read, args=(connection, slots), daemon=True).start()
    for runner in runners:
        runner.join()


def _read(connection: Connection[Any, Any], slots: list[queue.SimpleQueue[Job | None]]) -> None:
    """Deals jobs out; goes on after the last one, since the parent can still die under a job that hangs."""
    try:
        while True:
            message = connection.recv()
            if message is None:
                for jobs in slots:
                    jobs.put(None)
            else:
                slot, model, data = message
                slots[slot].put((model, data))
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


def _run(
    slot: int,
    jobs: queue.SimpleQueue[Job | None],
    models: dict[str, Callable[..., Any]],
    device: str,
    inputs: Arena,
    outputs: Arena,
    send: Callable[[tuple[Any, ...]], None],
) -> None:
    on_cpu = torch.device(device).type == "cpu"
    with torch.inference_mode():
        while (job := jobs.get()) is not None:
            model, data = job
            start_ns = time.monotonic_ns()
            try:
                tensors = inputs.unpack(data, copy=False)
                if not on_cpu:
                    tensors = tuple(tensor.to(device) for tensor in tensors)
                # packing copies to the CPU, which waits for whatever device computed it
                packed = outputs.pack(models[model](*tensors))
                message: tuple[Any, ...] = ("done", slot, start_ns, time.monotonic_ns(), packed)
            except BaseException as error:
                message = ("failed", slot, start_ns, time.monotonic_ns(), *portable(as_exception(error)))
            send(message)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), [int(fd) for fd in sys.argv[4:]])
