"""Whoever decides on the jobs of a world: one tailwise, or one in each of several gateways."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import tailwise as tw
from bench.replay.world import World
from tailwise.policy import Assignment, End, Learned, Policy

__all__ = ["Gateways"]


class Gateways:
    """An engine a gateway. Each decides on its own jobs and hears of these and of what resources report, no more.

    To the dispatch that stands for the resources, several are one policy, which forecasts nothing: nobody owns
    queues that all share. Resources that are yet to join are unknown to the engines.
    """

    def __init__(
        self,
        world: World,
        clock: tw.ManualClock,
        seed: int,
        learned: Callable[[tw.Engine], Learned] = Learned,
    ) -> None:
        self._world, self._clock = world, clock
        self.absent = frozenset(event.lane for event in world.events if event.kind == "absent")
        seeds = np.random.SeedSequence(seed).generate_state(world.n_gateways, np.uint64).tolist()
        self.engines = [self._engine(own_seed) for own_seed in seeds]
        self._learned = [learned(engine) for engine in self.engines]
        self.deciding = 0  #: the gateway at which the next job arrives

    def _engine(self, seed: int) -> tw.Engine:
        world = self._world
        n_tickets = min(2 * len(world) + 1, 1 << 20)  # a job has one, and its copy another one
        engine = tw.Engine(
            world.resources,
            world.models,
            world.classes,
            profiles=world.profiles,
            clock=self._clock,
            seed=seed,
            max_tickets=n_tickets,
        )
        for lane, resource in enumerate(world.resources):
            if lane in self.absent:
                engine.remove(resource.name)
            else:
                engine.own_queue(resource.name)
        return engine

    @property
    def policy(self) -> Policy:
        """Of the dispatch."""
        return self if len(self._learned) > 1 else self._learned[0]

    @property
    def by_lane(self) -> tuple[tw.Resource | None, ...]:
        """Who is there, the same for all; None where nobody has joined yet."""
        return self.engines[0].by_lane

    def join(self, resource: tw.Resource) -> int:
        """Tells every gateway of a resource. Returns its lane, the same for all."""
        (lane,) = {engine.add(resource) for engine in self.engines}
        for engine in self.engines:
            engine.own_queue(resource.name)
        return lane

    def counted(self, resource: str, running: int, waiting: int) -> Callable[[], None]:
        """A resource counts its jobs now; the call that is returned tells every gateway. In the engines' words what
        waits of a gateway's own is in its own queue, so it takes these off, as of now."""
        at_s = self._clock.now_ns() * 1e-9
        others = [max(waiting - engine.load(resource)[1], 0) for engine in self.engines]

        def tell() -> None:
            for engine, n in zip(self.engines, others, strict=True):
                engine.report(resource, running=running, waiting=n, at=at_s)

        return tell

    def assign(
        self,
        model: str,
        qos: str,
        features: tuple[float, ...],
        mask: int | None,
        deadline_s: float | None = None,
    ) -> Assignment:
        return self._learned[self.deciding].assign(model, qos, features, mask, deadline_s)

    def started(self, assignment: Assignment) -> None:

        self._learned[0].started(assignment)  # whose it is, the ticket knows

    def ended(self, assignment: Assignment, end: End, service_s: float, completion_s: float) -> None:
        self._learned[0].ended(assignment, end, service_s, completion_s)
