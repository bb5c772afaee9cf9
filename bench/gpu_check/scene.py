"""Where the check runs and what it runs there: a ResNet-50 without its weights, and one row of the table."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

__all__ = ["Row", "Scene", "scene_of"]

#: Blocks of each stage, as in He et al. 2015, table 1.
FULL, SHORT = (3, 4, 6, 3), (1, 1, 1, 1)


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. goal: what was asked for, "" = nothing."""

    check: str
    figure: str
    value: float
    unit: str
    goal: str = ""


@dataclass(frozen=True, slots=True)
class Scene:
    """device: of torch. side: pixels of an image. stages: blocks of the network's four. width: its first channels.
    rounds: of whatever is compared. n_jobs: of a round. seconds: of arrivals under one policy in a round."""

    device: str
    side: int
    stages: tuple[int, int, int, int]
    width: int
    rounds: int
    n_jobs: int
    seconds: float

    @property
    def cuda(self) -> bool:
        return self.device.startswith("cuda")

    def network(self) -> nn.Module:
        torch.manual_seed(0)
        return _network(self.stages, self.width).eval()

    def images(self, n: int) -> torch.Tensor:
        return torch.rand(n, 3, self.side, self.side)


def scene_of(quick: bool) -> Scene:
    """As large as the device allows in five minutes; quick: seconds, to see that everything runs."""
    device = "cuda:0" if torch.cuda.is_available() else "cpu"
    if quick:
        return Scene(device, side=32, stages=SHORT, width=8, rounds=2, n_jobs=16, seconds=0.5)
    if device == "cpu":
        return Scene(device, side=64, stages=FULL, width=32, rounds=7, n_jobs=16, seconds=4.0)
    return Scene(device, side=224, stages=FULL, width=64, rounds=11, n_jobs=64, seconds=4.0)


class _Bottleneck(nn.Module):
    def __init__(self, n_in: int, n: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(n_in, n, 1, bias=False), nn.BatchNorm2d(n), nn.ReLU(inplace=True),
            nn.Conv2d(n, n, 3, stride, 1, bias=False), nn.BatchNorm2d(n), nn.ReLU(inplace=True),
            nn.Conv2d(n, 4 * n, 1, bias=False), nn.BatchNorm2d(4 * n),
        )  # fmt: skip
        self.skip = nn.Identity() if stride == 1 and n_in == 4 * n else nn.Conv2d(n_in, 4 * n, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.body(x) + self.skip(x))


def _network(stages: tuple[int, ...], width: int) -> nn.Module:
    layers: list[nn.Module] = [
        nn.Conv2d(3, width, 7, 2, 3, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, 1),
    ]
    n_in = width
    for stage, blocks in enumerate(stages):
        n = width << stage
        for block in range(blocks):
            layers.append(_Bottleneck(n_in, n, 2 if stage and not block else 1))
            n_in = 4 * n
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(n_in, 1000))
