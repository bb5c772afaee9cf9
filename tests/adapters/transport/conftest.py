"""Each test of a client runs with both libraries, blocking and on asyncio."""

from __future__ import annotations

from typing import Any

import pytest

from tests.adapters.transport.world import FLAVOURS


@pytest.fixture(params=FLAVOURS, ids=lambda f: f"{f[0]}-{'async' if f[1] else 'sync'}")
def flavour(request: pytest.FixtureRequest) -> Any:
    return request.param
