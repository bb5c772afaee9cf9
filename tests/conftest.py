"""What all tests share: one reproducible hypothesis profile, and `long` tests only where they are asked for."""

import pytest
from hypothesis import Phase, settings

settings.register_profile("ci", derandomize=True, deadline=None, max_examples=150)
settings.register_profile("hunt", deadline=None, max_examples=2000)  # by hand: --hypothesis-profile=hunt
# to see that a broken line is noticed, no smallest example is needed (tests/mutants.py)
settings.register_profile("mutant", settings.get_profile("ci"), phases=[Phase.explicit, Phase.generate])
settings.load_profile("ci")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("-m"):
        return
    long = [item for item in items if item.get_closest_marker("long")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]
