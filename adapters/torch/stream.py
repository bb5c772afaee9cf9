"""The outputs of a generator as they come, for a thread or for asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from typing import Any

from tailwise.adapters.torch.job import JobFuture

__all__ = ["JobStream"]


class JobStream:
    """Iterate it, or `async for`: each output once, in order; then the error of the job, if any. Of several that do
    each gets some.

    future: of the whole job; its result is the number of outputs. Outputs that nobody has fetched yet are kept.
    """

    future: JobFuture

    def __init__(self) -> None:
        self._outputs: deque[Any] = deque()
        self._changed = threading.Condition()
        self._waiters: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._closed = False

    def close(self) -> None:
        """Cancels the job if it has not started; else it runs on, and its outputs are dropped."""
        with self._changed:
            self._closed = True
            self._outputs.clear()
        self.future.cancel()

    def __iter__(self) -> JobStream:
        return self

    def __next__(self) -> Any:
        with self._changed:
            self._changed.wait_for(lambda: self._outputs or self.future.done())
            if self._outputs:
                return self._outputs.popleft()
        self.future.result()
        raise StopIteration

    def __aiter__(self) -> JobStream:
        return self

    async def __anext__(self) -> Any:
        while True:
            with self._changed:
                if self._outputs:
                    return self._outputs.popleft()
                if self.future.done():
                    break
                loop = asyncio.get_running_loop()
                waiter = loop.create_future()
                self._waiters.append((loop, waiter))
            await waiter
        self.future.result()
        raise StopAsyncIteration

    def _put(self, output: Any) -> None:
        """The job has an output; called in a thread of its worker."""
        with self._changed:
            if not self._closed:
                self._outputs.append(output)
            self._wake()

    def _end(self, future: Any) -> None:
        with self._changed:
            self._wake()

    def _wake(self) -> None:
        self._changed.notify_all()
        waiters, self._waiters = self._waiters, []
        for loop, waiter in waiters:
            with contextlib.suppress(RuntimeError):  # the loop was closed
                loop.call_soon_threadsafe(_release, waiter)


def _release(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():  # its task may have been cancelled
        waiter.set_result(None)
