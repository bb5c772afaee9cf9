"""Python source: a two-layer LSTM predicts the next character, trained on the standard library."""

from __future__ import annotations

import math
import sysconfig
from functools import lru_cache, partial
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from tailwise.adapters.cli.workloads.answers import has_shape
from tailwise.adapters.cli.workloads.cache import Progress, Recipe, accuracy_of, obtain
from tailwise.adapters.cli.workloads.request import Request
from tailwise.errors import ConfigError

__all__ = [
    "VOCABULARY",
    "CodeSource",
    "held_out_accuracy",
    "next_character",
    "next_character_source",
    "prepare",
]

#: What the model reads and writes; any other character becomes the last one.
VOCABULARY = "\n" + "".join(map(chr, range(32, 127))) + "\N{REPLACEMENT CHARACTER}"

_TRAIN = (
    *("argparse", "ast", "calendar", "configparser", "csv", "dataclasses", "difflib", "enum"),
    *("fractions", "functools", "gettext", "inspect", "ipaddress", "locale", "mailbox", "optparse"),
    *("pathlib", "pdb", "pickle", "shutil", "smtplib", "socket", "subprocess", "tarfile"),
    *("tempfile", "threading", "traceback", "typing", "uuid", "zipfile"),
)
_HELD_OUT = ("textwrap", "heapq", "statistics", "shelve", "sched", "cmd", "fileinput", "string")

_MIN_PROMPT, _MAX_PROMPT = 32, 512
#: Median and spread of the log-normal law of prompt lengths, before it is cut to the range above.
_PROMPT_MEDIAN, _PROMPT_SIGMA = 128.0, 0.8
_N_HIDDEN = 192
_N_STEPS, _BATCH, _WINDOW = 300, 16, 64
_PEAK_RATE = 1e-2


class _NextCharacter(nn.Module):
    """Characters (batch, length) int64 -> logits of the character after the last (batch, vocabulary)."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(len(VOCABULARY), 64)
        self.lstm = nn.LSTM(64, _N_HIDDEN, num_layers=2, batch_first=True)
        self.logits = nn.Linear(_N_HIDDEN, len(VOCABULARY))

    def forward(self, prompt: torch.Tensor) -> torch.Tensor:
        states, _ = self.lstm(self.embedding(prompt))
        return cast(torch.Tensor, self.logits(states[:, -1]))

    def every(self, text: torch.Tensor) -> torch.Tensor:
        """Logits after every position: (batch, length) -> (batch, length, vocabulary)."""
        states, _ = self.lstm(self.embedding(text))
        return cast(torch.Tensor, self.logits(states))


class CodeSource:
    """Prompts of 32 to 512 characters from files that the model never saw; feature: prompt_chars."""

    def __init__(self) -> None:
        self._accuracy = accuracy_of(_NEXT_CHARACTER)
        self._text = _text(_HELD_OUT)

    def draw(self, rng: np.random.Generator) -> Request:
        length = math.exp(rng.normal(math.log(_PROMPT_MEDIAN), _PROMPT_SIGMA))
        n_chars = int(min(max(length, _MIN_PROMPT), _MAX_PROMPT))
        start = int(rng.integers(len(self._text) - n_chars))
        prompt = self._text[start : start + n_chars].unsqueeze(0)
        return Request((prompt,), (float(n_chars),), partial(has_shape, shape=(1, len(VOCABULARY))))

    def accuracy(self) -> float | None:
        return self._accuracy


def next_character() -> nn.Module:
    """The language model: indices into VOCABULARY (batch, length) int64 -> logits (batch, vocabulary)."""
    return obtain(_NEXT_CHARACTER)[0]


def next_character_source() -> CodeSource:
    """Requests for `next_character`. Raises ConfigError without the standard library's sources."""
    return CodeSource()


def held_out_accuracy(model: nn.Module) -> float:
    """The share of characters that `next_character`, or a copy of it in fewer bits, predicts right, in [0, 1].

    Over all held-out text in windows of the longest prompt, counted after the shortest. Raises ConfigError without
    the standard library's sources.
    """
    assert isinstance(model, _NextCharacter)
    text = _text(_HELD_OUT)
    windows = text[: len(text) // (_MAX_PROMPT + 1) * (_MAX_PROMPT + 1)].view(-1, _MAX_PROMPT + 1)
    model.eval()
    with torch.inference_mode():
        guesses = model.every(windows[:, :-1]).argmax(2)
    right = (guesses == windows[:, 1:])[:, _MIN_PROMPT:]
    return float(right.float().mean())


def prepare(progress: Progress | None = None) -> dict[str, float]:
    """Trains if the cache is empty; the share of held-out characters predicted right, in [0, 1].

    Raises ConfigError without the standard library's sources.
    """
    return {"next_character": obtain(_NEXT_CHARACTER, progress)[1]}


@lru_cache(maxsize=2)
def _text(modules: tuple[str, ...]) -> torch.Tensor:
    """The sources of these modules, one after the other, as indices into VOCABULARY (n,) int64."""
    stdlib = Path(sysconfig.get_path("stdlib"))
    # Which modules exist differs by version of Python; some have become packages.
    paths = [path for name in modules if (path := stdlib / f"{name}.py").is_file()]
    if 2 * len(paths) < len(modules):
        raise ConfigError(
            f"the code workload reads Python's own sources, and {stdlib} has {len(paths)} of the "
            f"{len(modules)} files that it expects; use a Python installed with its sources, or a workload "
            "file without this model"
        )
    index = {character: i for i, character in enumerate(VOCABULARY)}
    other = len(VOCABULARY) - 1
    text = "".join(path.read_text(encoding="utf-8") for path in paths)
    return torch.tensor([index.get(character, other) for character in text])


def _train(model: nn.Module) -> float:
    """Adam over windows at random places, on one cycle of the learning rate; returns `held_out_accuracy`."""
    assert isinstance(model, _NextCharacter)
    text = _text(_TRAIN)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _PEAK_RATE, total_steps=_N_STEPS)
    offsets = torch.arange(_WINDOW + 1)
    model.train()
    for _ in range(_N_STEPS):
        starts = torch.randint(len(text) - _WINDOW, (_BATCH, 1))
        windows = text[starts + offsets]
        logits = model.every(windows[:, :-1])
        optimizer.zero_grad()
        functional.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return held_out_accuracy(model)


_NEXT_CHARACTER = Recipe("code", _NextCharacter, _train)
