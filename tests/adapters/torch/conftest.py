"""The workers that the one suite runs over: both kinds on the CPU, and on CUDA where there is a device."""

from collections.abc import Iterator

import pytest

from tailwise.adapters.torch import Process, Thread, Worker
from tests.adapters.torch.worker_models import SOURCES
from tests.adapters.torch.workers import KINDS


@pytest.fixture(scope="package", params=KINDS)
def worker(request: pytest.FixtureRequest) -> Iterator[Worker]:
    """With two slots and all models; no test ends it."""
    spec: Thread | Process = request.param
    worker = type(spec)(spec.device, slots=2).build("w")
    worker.start(SOURCES)
    yield worker
    worker.close()


@pytest.fixture(params=KINDS)
def mortal(request: pytest.FixtureRequest) -> Iterator[Worker]:
    """Not started, with one slot; closed when the test is over."""
    worker: Worker = request.param.build("mortal")
    yield worker
    worker.close(0.1)
