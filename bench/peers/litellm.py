"""LiteLLM's latency-based routing: the strategy class of its router, without the router around it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from bench.peers.peer import Entry, Request, Result

__all__ = ["ENTRY"]

_GROUP = "m"
#: The router hands its chat messages to the strategy, which counts their tokens.
_MESSAGES = [{"role": "user", "content": "What is the capital of France?"}]
_BEGIN = datetime(2026, 1, 1)


class LowestLatency:
    """The mean of each deployment's last ten latencies, the least of them; the cache is in memory, no Redis."""

    def __init__(self, k: int, history: Sequence[Result]) -> None:
        os.environ.setdefault(
            "LITELLM_LOCAL_MODEL_COST_MAP", "True"
        )  # or the import asks the network for prices
        from litellm.caching.caching import DualCache
        from litellm.router_strategy.lowest_latency import LowestLatencyLoggingHandler

        self._strategy = LowestLatencyLoggingHandler(router_cache=DualCache())
        self._deployments = [
            {
                "model_name": _GROUP,
                "litellm_params": {"model": f"openai/{lane}", "api_base": f"http://r{lane}"},
                "model_info": {"id": str(lane)},
            }
            for lane in range(k)
        ]
        for result in history:
            self.learn(*result)

    def choose(self, x: Request) -> int:
        chosen: Any = self._strategy.get_available_deployments(_GROUP, self._deployments, messages=_MESSAGES)
        return int(chosen["model_info"]["id"])

    def learn(self, lane: int, x: Request, seconds: float) -> None:
        of_call = {
            "litellm_params": {"metadata": {"model_group": _GROUP}, "model_info": {"id": str(lane)}},
        }
        self._strategy.log_success_event(of_call, None, _BEGIN, _BEGIN + timedelta(seconds=seconds))


ENTRY = Entry(
    name="litellm",
    title="LiteLLM latency routing",
    module="litellm",
    requirement="litellm!=1.107.0",
    differs="least mean of the last 10 latencies, whatever the request; no uncertainty, no wait, no deadline",
    make=LowestLatency,
)
