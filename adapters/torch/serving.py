"""One batch on one device: called, timed, and halved where it fails so that only who caused it does."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import torch

from tailwise.adapters.torch.batch import Piece
from tailwise.adapters.torch.worker import Inputs, as_exception
from tailwise.errors import WorkerError

__all__ = ["Path", "Serving"]

#: How CUDA says that nothing more can run in this process: such errors stick to the context. Others (a kernel for
#: another architecture, an argument that a library refuses) do not.
_LOST = (
    "device-side assert",
    "unspecified launch failure",
    "illegal memory access",
    "illegal instruction",
    "illegal address",
    "misaligned address",
    "launch timed out",
    "hardware stack error",
    "uncorrectable",
    "device lost",
    "device is lost",
    "unknown error",
)

_NO_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory")


class Path(Protocol):
    """A slot's way to its device and back; used by the slot's thread alone."""

    def __enter__(self) -> object: ...

    def __exit__(self, *_: object) -> None: ...

    def put(self, members: Sequence[Inputs]) -> Inputs:
        """Their joined inputs on the device."""
        ...

    def fetch(self, value: Any) -> Any:
        """A result's tensors on the host; its copies may be under way until `wait` is back."""
        ...

    def mark(self) -> Any:
        """A moment in the order of the device's work."""
        ...

    def wait(self, marks: tuple[Any, Any, Any, Any]) -> tuple[int, int]:
        """Until the last of four marks is passed; (when it was, nanoseconds from the first to the second plus the
        third to the fourth)."""
        ...

    def empty_cache(self) -> None:
        """Gives back the device memory that is cached, not used."""
        ...


#: The inputs of n members from number `first` on, joined already or not.
Part = Callable[[int, int], Sequence[Inputs]]


class Serving:
    """How one batch went."""

    def __init__(
        self,
        path: Path,
        model: Callable[..., Any],
        part: Part,
        n_members: int,
        on_output: Callable[[Any, int], bool] | None,
    ) -> None:
        """Runs it. on_output: as the caller's; returns False when nobody wants more."""
        self._path = path
        self._model = model
        self._part = part
        self._on_output = on_output
        self.pieces: list[Piece] = []
        self.n_calls = 0
        self.copy_ns = 0
        self.out_of_memory = False
        self.lost: Exception | None = None  #: why the device takes no more work from this process
        self.start_ns = self.end_ns = time.monotonic_ns()
        self._run(0, n_members)

    def _run(self, first: int, n: int) -> None:
        if self.lost is not None:
            self.pieces.append((n, None, self.lost))
            return
        value, error, whole = self._attempt(first, n)
        if error is None or n == 1 or whole:
            self.pieces.append((n, value, error))
            return
        del value, error  # its traceback holds what the call had in memory, too
        self._run(first, n // 2)
        self._run(first + n // 2, n - n // 2)

    def _attempt(self, first: int, n: int) -> tuple[Any, Exception | None, bool]:
        """One call: its value, or its error and whether that is every member's."""
        self.n_calls += 1
        try:
            return self._call(first, n), None, True
        except BaseException as raised:
            error = as_exception(raised)
        self.end_ns = time.monotonic_ns()
        if _is_lost(error):
            self.lost = error
        if _is_out_of_memory(error):
            self.out_of_memory = True
            traceback.clear_frames(error.__traceback__)  # they hold what the call had in memory
            self._empty_cache()
        return None, error, self.lost is not None or isinstance(error, _NoBatchError)

    def _empty_cache(self) -> None:
        try:
            self._path.empty_cache()
        except Exception as error:  # where CUDA tells that the device was lost meanwhile
            self.lost = error

    def _call(self, first: int, n: int) -> Any:
        path = self._path
        with path:
            begin = path.mark()
            inputs = path.put(self._part(first, n))
            inside = path.mark()
            value = self._model(*inputs)
            if type(value) is not torch.Tensor and isinstance(
                value, Iterator
            ):  # which asks a tensor for long
                value = self._outputs(value, n)
            done = path.mark()
            value = path.fetch(value)
            end = path.mark()
            self.end_ns, copy_ns = path.wait((begin, inside, done, end))
        self.copy_ns += copy_ns
        return value

    def _outputs(self, outputs: Iterator[Any], n: int) -> Any:
        if n > 1:
            raise _NoBatchError(
                f"the model returned an iterator ({type(outputs).__name__}) for a batch of {n}: submit each alone"
            )
        if self._on_output is None:
            return list(outputs)
        count = 0
        for output in outputs:
            count += 1
            begin = self._path.mark()
            value = self._path.fetch(output)
            end = self._path.mark()
            now_ns, copy_ns = self._path.wait((begin, begin, begin, end))
            self.copy_ns += copy_ns
            if not self._on_output(value, now_ns):
                break
        return count


class _NoBatchError(WorkerError):
    """Whatever the members, the model cannot take several."""


def _is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in _text(error) for words in _NO_MEMORY)


def _is_lost(error: Exception) -> bool:
    if not isinstance(error, RuntimeError) or _is_out_of_memory(error):
        return False
    text = _text(error)
    from_device = isinstance(error, torch.AcceleratorError) or "cuda error" in text or "hip error" in text
    return from_device and any(words in text for words in _LOST)


def _text(error: Exception) -> str:
    try:
        return str(error).lower()
    except Exception:  # a model may raise anything
        return ""
