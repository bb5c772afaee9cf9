"""What all tests share: one reproducible hypothesis profile, `long` tests only where they are asked for, and those of
the executor and of the command line only where torch is installed."""

import importlib.util
from collections.abc import Iterator

import pytest
from hypothesis import Phase, settings

from tests.paths import PATHS, on_path

settings.register_profile("ci", derandomize=True, deadline=None, max_examples=150)
settings.register_profile("hunt", deadline=None, max_examples=2000)  # by hand: --hypothesis-profile=hunt
# to see that a broken line is noticed, no smallest example is needed (tests/mutants.py)
settings.register_profile("mutant", settings.get_profile("ci"), phases=[Phase.explicit, Phase.generate])
settings.load_profile("ci")

if importlib.util.find_spec("torch") is None:
    collect_ignore = ["adapters/cli", "adapters/torch", "bench/gpu_check"]


@pytest.fixture(scope="module", params=PATHS)
def each_path(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs what uses it once on every version of the kernels."""
    with on_path(request.param):
        yield request.param


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("-m"):
        return
    long = [item for item in items if item.get_closest_marker("long")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]
