"""Ray Serve's power of two choices: its request router alone, on an event loop of its own, without a cluster."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

from bench.peers.peer import Entry, Request, Result

__all__ = ["ENTRY"]

_SLOTS = 256  #: of each resource, as in bench.subject


class _Replica:
    """What the router asks of a replica. Nothing is sent to it; its queue length is that of the jobs sent here."""

    node_id = ""
    availability_zone = None
    multiplexed_model_ids: frozenset[str] = frozenset()
    max_ongoing_requests = _SLOTS

    def __init__(self, replica_id: Any, ongoing: Counter[Any]) -> None:
        self.replica_id = replica_id
        self._ongoing = ongoing

    async def get_queue_len(self, *, deadline_s: float) -> int:
        """The router's probe, at the start and where its cache is older than ten seconds."""
        return self._ongoing[self.replica_id]


class PowerOfTwo:
    """As Serve's own router calls it, queue lengths cached: choose a replica, count the request, count its end.

    It learns nothing of latencies, so the history teaches it nothing.
    """

    def __init__(self, k: int, history: Sequence[Result]) -> None:
        from ray.serve._private.common import DeploymentID, ReplicaID, RequestMetadata
        from ray.serve._private.request_router.common import PendingRequest

        deployment = DeploymentID(name="m", app_name="bench")
        self._ids = [ReplicaID(f"r{lane}", deployment) for lane in range(k)]
        self._lanes = {id: lane for lane, id in enumerate(self._ids)}
        self._ongoing: Counter[Any] = Counter()
        self._pending, self._metadata, self._n = PendingRequest, RequestMetadata, 0
        self._loop = asyncio.new_event_loop()
        self._router = self._loop.run_until_complete(self._start(deployment))

    async def _start(self, deployment: Any) -> Any:
        from ray.serve._private.common import DeploymentHandleSource
        from ray.serve._private.request_router.pow_2_router import PowerOfTwoChoicesRequestRouter

        router = PowerOfTwoChoicesRequestRouter(
            deployment_id=deployment,
            handle_source=DeploymentHandleSource.REPLICA,
            use_replica_queue_len_cache=True,
        )
        router.update_replicas([_Replica(id, self._ongoing) for id in self._ids])
        while any(router.replica_queue_len_cache.get(id) is None for id in self._ids):
            await asyncio.sleep(0)
        return router

    def choose(self, x: Request) -> int:
        return self._loop.run_until_complete(self._choose())

    async def _choose(self) -> int:
        self._n += 1
        id = str(self._n)
        request = self._pending(args=[], kwargs={}, metadata=self._metadata(id, id))
        replica = await self._router._choose_replica_for_request(request)
        self._router.on_send_request(replica.replica_id)
        self._ongoing[replica.replica_id] += 1
        return self._lanes[replica.replica_id]

    def learn(self, lane: int, x: Request, seconds: float) -> None:
        self._ongoing[self._ids[lane]] -= 1
        self._router.decrement_queue_len_cache(self._ids[lane])


ENTRY = Entry(
    name="ray",
    title="Ray Serve power of two",
    module="ray",
    requirement="ray[serve]",
    differs="fewer open requests of two random replicas; learns that a job ended, not its latency; no deadline",
    make=PowerOfTwo,
)
