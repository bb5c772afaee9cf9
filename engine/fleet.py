"""The resources of an engine: by name, added, drained and removed while it runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from tailwise._core.core import Core
from tailwise.bounds import excluded_by
from tailwise.declared import Declared
from tailwise.errors import ConfigError, InputError
from tailwise.given import Profile
from tailwise.numbered import capacity_of, slopes_of
from tailwise.types import Resource
from tailwise.validate import as_items, as_number, is_positive, require

__all__ = ["Fleet"]


class Fleet:
    """What an engine knows of its resources; `Engine` inherits it.

    A resource's lane is its place in masks and in Z. It stays the same until the resource is removed; then the
    lane stays shut, and is used again by a later `add` once the last ticket of the removed one is settled.
    """

    _core: Core
    _declared: Declared

    @property
    def resources(self) -> tuple[Resource, ...]:
        """Those that are there, in the order of their lanes."""
        return tuple(resource for resource in self._core.resources if resource is not None)

    @property
    def by_lane(self) -> tuple[Resource | None, ...]:
        """One entry a lane; None where a resource was removed and none has taken its place."""
        return tuple(self._core.resources)

    @property
    def n_lanes(self) -> int:
        """How many entries a mask and a row of Z have. It grows by `add`, and never shrinks."""
        return self._core.n_lanes

    def lane(self, resource: str) -> int:
        """The index of a resource in masks and in the columns of Z. Raises UnknownName."""
        return self._core.lane(resource)

    def candidates(self, model: str) -> tuple[int, ...]:
        """Lanes of the resources that can run a model. Raises UnknownName."""
        return self._core.candidates(self._declared.model_index(model))

    def load(self, resource: str) -> tuple[int, int]:
        """(jobs in service, jobs queued) that open tickets put on a resource. Raises UnknownName."""
        running, queued = self._core.load(self.lane(resource))
        return running, queued

    def own_queue(self, resource: str) -> None:
        """Tells that the caller queues for this resource from now on: by priority, with `ticket.start()`.

        Raises UnknownName, and ConfigError for a resource with max_running: it queues by itself.
        """
        self._core.own_queue(resource)

    def unloaded(self, resource: str, model: str, load_s: float) -> None:
        """The resource would have to load the model first: until `loaded` is said, its jobs are expected to wait
        there for `load_s` (seconds > 0) beside what is ahead of all, in the rank and in P(on time).

        Loads may be said again while they go on, with what is left of them. Raises UnknownName, InputError, and then
        changes nothing. Cost: a microsecond; 10 ns in a decision for each resource that has not loaded its model.
        """
        require(is_positive(as_number(load_s)), "unloaded", "load_s", load_s, "seconds > 0", InputError)
        self._core.set_load(resource, self._declared.model_index(model), float(load_s))

    def loaded(self, resource: str, model: str) -> None:
        """The model is ready on the resource, as all are from the start. Raises UnknownName, InputError."""
        self._core.set_load(resource, self._declared.model_index(model), 0.0)

    def drain(self, resource: str) -> None:
        """The resource takes no more jobs; those it has go on, settle and teach. Wait until `load` says (0, 0)
        before you stop it. Changes nothing on a drained one. Raises UnknownName."""
        self._core.drain(resource, True)

    def undrain(self, resource: str) -> None:
        """The resource takes jobs again, with what was learned of it before. Raises UnknownName."""
        self._core.drain(resource, False)

    def add(
        self,
        resource: Resource,
        *,
        models: Sequence[str] | None = None,
        profiles: Iterable[Profile] = (),
    ) -> int:
        """A resource joins while the engine runs; returns its lane. Routes that exist choose it from now on.

        models: which ones it can run; None = every model whose `resources` is None or names it. profiles: measured
        elsewhere, as priors of this resource; without one it starts from what its models do on the other resources.
        Buffers and bool masks that are shorter than `n_lanes` are refused from now on: make them anew
        (`route.buffer()`); int masks stay valid. Raises ConfigError (the name is taken, a profile of another
        resource), UnknownName, CapacityError, and then changes nothing. Cost: O(models x resources).
        """
        declared = self._declared
        require(isinstance(resource, Resource), "add", "resource", resource, "a Resource")
        profiles = as_items("add", "profiles", profiles, Profile, "a sequence of Profile objects")
        if models is None:
            joined = {m for m, model in enumerate(declared.models) if declared.allows(model, resource.name)}
        else:
            names = as_items("add", "models", models, str, "a sequence of names of models")
            joined = {declared.model_index(name) for name in names}
        for profile in profiles:
            if profile.resource != resource.name:
                raise ConfigError(f"add: {profile!r}, but a profile of {resource.name!r} is expected")
            profile.require_runs(declared.model_index(profile.model) in joined)
        given = [self._as_given(profile) for profile in profiles]
        joins = [
            (resource.offset_s, excluded_by(model, resource)) if m in joined else (math.inf, None)
            for m, model in enumerate(declared.models)
        ]
        return self._core.admit(resource, capacity_of(resource), joins, given)

    def remove(self, resource: str) -> None:
        """The resource is gone, and what was learned of it is forgotten; drain it first to let its jobs end.

        Tickets that are still open can be settled as ever, which frees their places and teaches nothing. The name
        can be added again at once and then starts from the prior; so add a successor before you remove the last
        resource that knows a model. Raises UnknownName. Cost: O(models x resources).
        """
        self._core.remove_resource(resource)

    def _as_given(self, profile: Profile) -> tuple[int, float, float, float, dict[int, float]]:
        index = self._declared.model_index(profile.model)
        slopes = slopes_of(self._declared.models[index], profile)
        return index, profile.ln_median, profile.spread, profile.weight, slopes

    def _give(self, profile: Profile) -> None:
        given = self._as_given(profile)
        lane = self.lane(profile.resource)
        profile.require_runs(lane in self._core.candidates(given[0]))
        self._core.give(given[0], lane, *given[1:])
