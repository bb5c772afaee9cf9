"""Handwritten digits: an accurate convolutional network and a small fast one, trained at first use."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any, cast

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from tailwise.adapters.cli.workloads.answers import has_shape
from tailwise.adapters.cli.workloads.cache import Progress, Recipe, accuracy_of, obtain
from tailwise.adapters.cli.workloads.request import Request
from tailwise.errors import MissingExtra

__all__ = [
    "DigitsSource",
    "accurate",
    "accurate_source",
    "fast",
    "fast_source",
    "held_out_accuracy",
    "prepare",
]

_N_CLASSES = 10
_N_TEST = 450
_TRAINING_BATCH = 32
_MAX_BATCH = 16
#: Parameter of the geometric law of batch sizes: most requests are small, and the mean is near 4.
_BATCH_P = 0.25
#: Where the accurate network looks at each digit again, in pixels of the upsampled picture (rows, columns).
_SHIFTS = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))


class _Accurate(nn.Module):
    """Logits averaged over shifted views of each digit: (batch, 1, 8, 8) -> (batch, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.view = nn.Sequential(
            *_convolution(1, 32),
            *_convolution(32, 64),
            nn.MaxPool2d(2),
            *_convolution(64, 128),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(128 * 4 * 4, _N_CLASSES),
        )

    def forward(self, digits: torch.Tensor) -> torch.Tensor:
        large = functional.interpolate(digits, scale_factor=2.0, mode="bilinear", align_corners=False)
        if self.training:
            return cast(torch.Tensor, self.view(large))
        views = torch.cat([large.roll(shift, dims=(2, 3)) for shift in _SHIFTS])
        logits = cast(torch.Tensor, self.view(views))
        return logits.view(len(_SHIFTS), -1, _N_CLASSES).mean(0)


class _Fast(nn.Sequential):
    """A perceptron with one hidden layer: (batch, 1, 8, 8) -> (batch, 10)."""

    def __init__(self) -> None:
        super().__init__(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, _N_CLASSES))


class DigitsSource:
    """Requests of 1 to 16 digits that no model was trained on; feature: batch."""

    def __init__(self, recipe: Recipe) -> None:
        self._accuracy = accuracy_of(recipe)
        _, (self._digits, self._labels) = _halves()

    def draw(self, rng: np.random.Generator) -> Request:
        batch = min(int(rng.geometric(_BATCH_P)), _MAX_BATCH)
        picks = torch.from_numpy(rng.integers(len(self._digits), size=batch))
        check = partial(_is_right, self._labels[picks])
        return Request((self._digits[picks],), (float(batch),), check)

    def accuracy(self) -> float | None:
        return self._accuracy


def accurate() -> nn.Module:
    """The convolutional network: (batch, 1, 8, 8) in [0, 1] -> logits (batch, 10)."""
    return obtain(_ACCURATE)[0]


def fast() -> nn.Module:
    """The perceptron: (batch, 1, 8, 8) in [0, 1] -> logits (batch, 10)."""
    return obtain(_FAST)[0]


def accurate_source() -> DigitsSource:
    """Requests for `accurate`."""
    return DigitsSource(_ACCURATE)


def fast_source() -> DigitsSource:
    """Requests for `fast`."""
    return DigitsSource(_FAST)


def held_out_accuracy(model: nn.Module) -> float:
    """The share of the held-out digits that a model in eval mode gets right, in [0, 1]. Raises MissingExtra."""
    _, (digits, labels) = _halves()
    with torch.inference_mode():
        right = model(digits).argmax(1) == labels
    return float(right.float().mean())


def prepare(progress: Progress | None = None) -> dict[str, float]:
    """Trains what the cache lacks; the held-out accuracy of each model in [0, 1]. Raises MissingExtra."""
    return {
        "accurate": obtain(_ACCURATE, progress)[1],
        "fast": obtain(_FAST, progress)[1],
    }


def _is_right(labels: torch.Tensor, answer: Any) -> bool:
    """Whether at least half of a batch has its label.

    A network errs on single digits at its own held-out rate; that is no fault of who served it. An answer
    to another request, or a damaged one, has about a tenth of its labels right.
    """
    if not has_shape(answer, (len(labels), _N_CLASSES)):
        return False
    n_right = int((answer.argmax(1) == labels).sum())
    return 2 * n_right >= len(labels)


_Digits = tuple[torch.Tensor, torch.Tensor]


@lru_cache(maxsize=1)
def _halves() -> tuple[_Digits, _Digits]:
    """Training and held-out digits (n, 1, 8, 8) with labels (n,), split the same way every time."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingExtra(
            "the digits workload needs scikit-learn; install it with pip install 'tailwise[cli]'"
        ) from error
    pixels, labels = load_digits(return_X_y=True)
    digits = torch.from_numpy((pixels / 16.0).astype(np.float32)).view(-1, 1, 8, 8)
    classes = torch.from_numpy(labels.astype(np.int64))
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(classes)))
    test, train = order[:_N_TEST], order[_N_TEST:]
    return (digits[train], classes[train]), (digits[test], classes[test])


def _convolution(n_in: int, n_out: int) -> list[nn.Module]:
    return [nn.Conv2d(n_in, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU()]


def _train(model: nn.Module, *, n_epochs: int, peak_rate: float) -> float:
    """Adam on one cycle of the learning rate; returns the share of held-out digits that it gets right."""
    (digits, labels), _ = _halves()
    n_steps = n_epochs * -(-len(labels) // _TRAINING_BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak_rate, total_steps=n_steps)
    model.train()
    for _ in range(n_epochs):
        for picks in torch.randperm(len(labels)).split(_TRAINING_BATCH):
            optimizer.zero_grad()
            functional.cross_entropy(model(digits[picks]), labels[picks]).backward()
            optimizer.step()
            schedule.step()
    return held_out_accuracy(model.eval())


_ACCURATE = Recipe("digits-accurate", _Accurate, partial(_train, n_epochs=6, peak_rate=3e-3))
_FAST = Recipe("digits-fast", _Fast, partial(_train, n_epochs=20, peak_rate=1e-2))
