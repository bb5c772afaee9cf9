"""The kinds of worker."""

import pytest
import torch

from tailwise.adapters.torch import Process, Thread

no_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")

KINDS = [
    pytest.param(Thread(), id="thread"),
    pytest.param(Process(), id="process"),
    pytest.param(Thread("cuda:0"), id="cuda-thread", marks=no_cuda),
    pytest.param(Process("cuda:0"), id="cuda-process", marks=no_cuda),
]

both_kinds = pytest.mark.parametrize("spec", KINDS)
