"""Two llama-servers of really different speed, on loopback."""

from __future__ import annotations

import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.gateway.fleet import Process, free_port
from bench.llm.files import Files

__all__ = ["LlamaServer", "Setting", "settings", "started"]

START_S, LOOK_S = 120.0, 0.05


@dataclass(frozen=True, slots=True)
class Setting:
    """How one llama-server runs.

    n_slots: requests that are served at once, in one batch. n_batch: prompt tokens that one step of all of them takes
    at most, so how long a stream is held up by another's prompt; n_compute: those that are computed together.
    """

    name: str
    weights: Path
    n_threads: int
    n_slots: int = 4
    n_batch: int = 64
    n_compute: int = 64
    slot_tokens: int = 2048

    def flags(self) -> list[str]:
        pairs = {
            "--model": self.weights,
            "--alias": self.name,
            "--threads": self.n_threads,
            "--parallel": self.n_slots,
            "--ctx-size": self.n_slots * self.slot_tokens,
            "--batch-size": self.n_batch,
            "--ubatch-size": self.n_compute,
        }
        return ["--metrics", *(str(part) for pair in pairs.items() for part in pair)]


def settings(files: Files, n_cores: int | None = None) -> tuple[Setting, Setting]:
    """The quick one and the slow one, on all cores together.

    The slow one has the same weights in 32 bits, prompts in steps of 16 and, where there are four cores or more, a
    quarter of them. Threads alone tell two servers apart only where each has its cores for itself (README.md).
    """
    n_cores = n_cores or len(os.sched_getaffinity(0))
    few = max(1, n_cores // 4)
    return (
        Setting("quick", files.small, n_threads=max(1, n_cores - few)),
        Setting("slow", files.full, n_threads=few, n_compute=16),
    )


class LlamaServer:
    """Keeps its port over restarts, which empty its caches."""

    def __init__(self, files: Files, setting: Setting, log: Path) -> None:
        """log: the file for what it writes."""
        self.setting, self._files, self._log = setting, files, log
        self.port = free_port()
        self._process: Process | None = None

    @property
    def name(self) -> str:
        return self.setting.name

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def restart(self) -> None:
        """Until it is healthy. Raises RuntimeError with the end of its log."""
        self.stop()
        binary = str(self._files.binaries / "llama-server")
        command = [binary, "--host", "127.0.0.1", "--port", str(self.port), *self.setting.flags()]
        self._process = Process(command, self.port, self._files.environment, self._log)
        give_up_s = time.monotonic() + START_S
        while not _healthy(f"{self.url}/health"):
            if self._process.process.poll() is not None or time.monotonic() > give_up_s:
                self.stop()
                said = self._log.read_text(encoding="utf-8", errors="replace")[-1000:]
                raise RuntimeError(f"{self.name}: {binary} does not serve: {said}")
            time.sleep(LOOK_S)

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop()
            self._process = None


@contextmanager
def started(
    files: Files, folder: Path, kinds: Sequence[Setting] | None = None
) -> Iterator[list[LlamaServer]]:
    """Those of `settings`. folder: for their logs."""
    servers = [LlamaServer(files, kind, folder / f"{kind.name}.log") for kind in kinds or settings(files)]
    try:
        for server in servers:
            server.restart()
        yield servers
    finally:
        for server in servers:
            server.stop()


def _healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2.0) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False
