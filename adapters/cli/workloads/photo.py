"""Features of photographs: a convolutional network over crops of two real pictures, in several sizes."""

from __future__ import annotations

import math
from functools import lru_cache, partial
from typing import cast

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from tailwise.adapters.cli.workloads.answers import has_shape
from tailwise.adapters.cli.workloads.cache import Progress
from tailwise.adapters.cli.workloads.request import Request
from tailwise.errors import MissingExtra

__all__ = ["PhotoSource", "features", "features_source", "photographs", "prepare"]

_SIDES_PX = (64, 96, 128, 160, 192)
_MAX_BATCH = 8
#: Parameter of the geometric law of batch sizes, before the budget of pixels.
_BATCH_P = 0.35
#: Pixels of one request over its whole batch, as a server bounds the memory of a request.
_MAX_PIXELS = _MAX_BATCH * 128 * 128
_WIDTHS = (32, 64, 128, 192)
_SEED = 7


class _Residual(nn.Module):
    """Halves height and width, then adds two convolutions to what it has."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(n_in, n_out, 3, stride=2, padding=1)
        self.first = nn.Conv2d(n_out, n_out, 3, padding=1)
        self.second = nn.Conv2d(n_out, n_out, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.reduce(x))
        return functional.relu(x + self.second(functional.relu(self.first(x))))


class _Features(nn.Module):
    """Pictures (batch, 3, height, width) in [0, 1] -> features (batch, 192)."""

    def __init__(self) -> None:
        super().__init__()
        blocks = [_Residual(n_in, n_out) for n_in, n_out in zip((3, *_WIDTHS), _WIDTHS, strict=False)]
        self.blocks = nn.Sequential(*blocks)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return cast(torch.Tensor, self.blocks(pictures - 0.5)).mean((2, 3))


class PhotoSource:
    """Requests of 1 to 8 square crops of one size; features: batch, pixels of one crop."""

    def __init__(self) -> None:
        self._photographs = photographs()

    def draw(self, rng: np.random.Generator) -> Request:
        side_px = int(rng.choice(_SIDES_PX))
        n_pixels = side_px * side_px
        batch = min(int(rng.geometric(_BATCH_P)), _MAX_BATCH, _MAX_PIXELS // n_pixels)
        crops = torch.stack([self._crop(rng, side_px) for _ in range(batch)])
        check = partial(has_shape, shape=(batch, _WIDTHS[-1]))
        return Request((crops,), (float(batch), float(n_pixels)), check)

    def accuracy(self) -> float | None:
        return None

    def _crop(self, rng: np.random.Generator, side_px: int) -> torch.Tensor:
        photograph = self._photographs[rng.integers(len(self._photographs))]
        _, height_px, width_px = photograph.shape
        top = int(rng.integers(height_px - side_px + 1))
        left = int(rng.integers(width_px - side_px + 1))
        return photograph[:, top : top + side_px, left : left + side_px]


def features() -> nn.Module:
    """The network, with weights drawn from a fixed seed: random convolutions are known to keep what tells
    pictures apart, and there is nothing to train them on here. (batch, 3, height, width) -> (batch, 192)."""
    generator = torch.Generator().manual_seed(_SEED)
    # Built on "meta" first, so that no default weights are drawn from torch's global generator.
    with torch.device("meta"):
        model = _Features()
    model = model.to_empty(device="cpu")
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, nn.Conv2d):
                fan_in = math.prod(layer.weight.shape[1:])
                layer.weight.normal_(std=math.sqrt(2.0 / fan_in), generator=generator)
                cast(torch.Tensor, layer.bias).zero_()
    return model.eval().requires_grad_(False)


def features_source() -> PhotoSource:
    """Requests for `features`. Raises MissingExtra."""
    return PhotoSource()


def prepare(progress: Progress | None = None) -> dict[str, float]:
    """Loads the photographs, so that what is missing shows before the run; there are no labels to score.

    Raises MissingExtra.
    """
    if progress is not None:
        progress("loading the photographs")
    photographs()
    return {}


@lru_cache(maxsize=1)
def photographs() -> tuple[torch.Tensor, ...]:
    """Each photograph that scikit-learn ships, as (3, height, width) float32 in [0, 1]. Raises MissingExtra."""
    try:
        import PIL  # noqa: F401  scikit-learn reads the files with it, and names it less clearly
        from sklearn.datasets import load_sample_images
    except ImportError as error:
        raise MissingExtra(
            "the photo workload needs scikit-learn and pillow; install them with pip install 'tailwise[cli]'"
        ) from error
    images = load_sample_images().images
    return tuple(torch.from_numpy(image.transpose(2, 0, 1).astype(np.float32) / 255.0) for image in images)
