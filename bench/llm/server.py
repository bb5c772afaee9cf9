"""Two llama-servers of really different speed, on loopback."""

from __future__ import annotations

import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.gateway.fleet import Process, free_port
from bench.llm.files import Files

__all__ = ["PACES", "Pace", "Server", "Setting", "llama", "paced", "settings", "started"]

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
            "--chat-template": "gemma",
        }
        return ["--metrics", "--no-jinja", *(str(part) for pair in pairs.items() for part in pair)]


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


@dataclass(frozen=True, slots=True)
class Pace:
    """How a stand-in that waits goes on: prompt tokens a second, seconds of a step of one answer, of each more.

    PACES is of the real ones with nothing else to do, on a core each of an AMD EPYC with AVX-512 (llama-bench).
    """

    name: str
    prompt_per_s: float
    step_s: float
    more_s: float


PACES = (Pace("quick", 260.0, 0.018, 0.006), Pace("slow", 130.0, 0.054, 0.008))


class Server:
    """A process on a port of its own, which it keeps over restarts; these empty its caches."""

    def __init__(
        self,
        name: str,
        n_slots: int,
        command: Callable[[int], Sequence[str]],
        log: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """command: for a port. log: the file for what it writes."""
        self.name, self.n_slots = name, n_slots
        self.port = free_port()
        self._command, self._log, self._environment = command, log, environment
        self._process: Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def restart(self) -> None:
        """Until it is healthy. Raises RuntimeError with the end of its log."""
        self.stop()
        self._process = Process(self._command(self.port), self.port, self._environment, self._log)
        give_up_s = time.monotonic() + START_S
        while not _healthy(f"{self.url}/health"):
            if self._process.process.poll() is not None or time.monotonic() > give_up_s:
                self.stop()
                said = self._log.read_text(encoding="utf-8", errors="replace")[-1000:]
                raise RuntimeError(f"{self.name} does not serve: {said}")
            time.sleep(LOOK_S)

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop()
            self._process = None


def llama(files: Files, setting: Setting, folder: Path) -> Server:
    binary = str(files.binaries / "llama-server")

    def command(port: int) -> list[str]:
        return [binary, "--host", "127.0.0.1", "--port", str(port), *setting.flags()]

    log = folder / f"{setting.name}.log"
    return Server(setting.name, setting.n_slots, command, log, files.environment)


def paced(pace: Pace, folder: Path, n_slots: int = 4) -> Server:
    """A stand-in: bench.llm.paced."""

    def command(port: int) -> list[str]:
        flags = {"--port": port, "--slots": n_slots}
        flags |= {f"--{name.replace('_', '-')}": value for name, value in asdict(pace).items()}
        return [
            sys.executable,
            "-m",
            "bench.llm.paced",
            *(str(part) for pair in flags.items() for part in pair),
        ]

    return Server(pace.name, n_slots, command, folder / f"{pace.name}.log")


@contextmanager
def started(servers: Sequence[Server]) -> Iterator[Sequence[Server]]:
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
