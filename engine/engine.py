"""The engine: names resolved to lanes, declarations validated; everything else is in the compiled core."""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tailwise._core.core import Core
from tailwise.bounds import excluded_by, require_accuracy
from tailwise.certificate import Certificate, summarise_promises
from tailwise.clock import Clock, MonotonicClock
from tailwise.declared import Declared
from tailwise.errors import InputError, UnknownName
from tailwise.family import Family
from tailwise.fleet import Fleet
from tailwise.given import Profile
from tailwise.health import Breaker, Health, rules_of
from tailwise.modes import Modes
from tailwise.numbered import capacity_of, columns_of, features_of, items_of, prompt_of
from tailwise.options import Options
from tailwise.qos import QoS, check_fit
from tailwise.reports import Reports
from tailwise.route import Route
from tailwise.statistics import Statistics, add_statistics, collect_statistics
from tailwise.summary import LengthSummary, ProfileSummary, occupied_s, summarise
from tailwise.types import Model, Resource
from tailwise.validate import as_items, as_number, as_row, is_positive

__all__ = ["Engine"]

DEFAULT_HEALTH = Health()


class Engine(Fleet, Modes):
    """Learns every (resource, model) and picks resources for jobs.

    resources, models, qos: what exists; names unique within each. profiles: measured elsewhere, as priors.
    clock: anything with `now_ns()`; default the monotonic clock. seed: of the generator that breaks ties;
    None draws one. tau_s: time constant of forgetting, > 0 (inf = never forget); the clock alone never takes a
    profile below 8 effective observations. detect_change: test each completion for a change of its resource and
    running jobs for a hang, see `alarms` and `overdue`. idle_gap_s: after so long without a job a resource
    is cold, and the first completion of each model there counts as a warm-up (see `Ticket.complete`); None = never.
    health: when a resource is ejected, and for how long; None = never, unless it asks for it by Retry-After.
    max_resources: how many there may be at once, with those of `add`, at most 4096; None = what is declared, rounded
    up to a multiple of 16. max_tickets: how many may be open at once.
    Raises ConfigError, UnknownName, CapacityError.
    """

    def __init__(
        self,
        resources: Sequence[Resource],
        models: Sequence[Model],
        qos: Sequence[QoS],
        *,
        profiles: Iterable[Profile] = (),
        clock: Clock | None = None,
        seed: int | None = None,
        tau_s: float = 300.0,
        detect_change: bool = True,
        idle_gap_s: float | None = None,
        health: Health | None = DEFAULT_HEALTH,
        max_resources: int | None = None,
        max_tickets: int = 4096,
    ) -> None:
        self._declared = Declared(resources, models, qos)
        profiles = as_items("Engine", "profiles", profiles, Profile, "a sequence of Profile objects")
        self.clock: Clock = MonotonicClock() if clock is None else clock
        self._options = options = Options(
            n_resources=len(self._declared.resources),
            clock=self.clock,
            seed=secrets.randbits(64) if seed is None else seed,
            tau_s=tau_s,
            detect_change=detect_change,
            idle_gap_s=idle_gap_s,
            health=health,
            max_resources=max_resources,
            max_tickets=max_tickets,
        )
        self._core = Core(
            max_resources=options.capacity,
            max_models=len(self.models),
            max_classes=len(self.qos),
            max_tickets=options.max_tickets,
            seed=options.seed & (1 << 64) - 1,
            tau_s=options.tau_s,
            clock=self.clock,
        )
        self._core.detect_change(detect_change)
        if options.idle_gap_s is not None:
            self._core.watch_gaps(options.idle_gap_s)
        self._core.set_health(*rules_of(health))
        for resource in self._declared.resources:
            self._core.add_resource(resource, *capacity_of(resource))
            self._core.price(self._core.lanes[resource.name], resource.cost_per_s, resource.power_w)
        for model in self.models:
            self._add_model(model)
        for promise in self.qos:
            self._core.add_class(promise.on_time)
        self._reports = Reports(self._core, self.models)
        for profile in profiles:
            self._give(profile)

    @property
    def models(self) -> tuple[Model, ...]:
        """As declared."""
        return self._declared.models

    @property
    def qos(self) -> tuple[QoS, ...]:
        """By priority, the most urgent class first."""
        return self._declared.qos

    def route(self, model: str, qos: str) -> Route:
        """Resolves names once; keep the route, it is what the hot path runs on.

        Raises UnknownName; ConfigError when the class bounds an accuracy that the model does not declare, or a time
        that it does not predict: ttft_s and tpot_s are for two signals, one signal needs a deadline_s.
        """
        declared, promise = self._declared, self._declared.qos_class(qos)
        require_accuracy(declared.model(model), promise)
        check_fit(declared.model(model), promise)
        indices = declared.model_index(model), declared.qos_index(qos)
        return Route(self._core, declared.model(model), promise, *indices)

    def family(self, name: str, qos: str) -> Family:
        """All variants of one network (models with `variant_of=name`) as one route, which picks the variant, too.

        Raises UnknownName; ConfigError as `route` does, and where the variants take different inputs.
        """
        routes = [self.route(model.name, qos) for model in self._declared.variants(name)]
        return Family(name, self._declared.qos_class(qos), routes)

    def classify(self, deadline_s: float, on_time: float) -> QoS:
        """The class whose promise covers a bare requirement: the least urgent one that is at least as strict.

        deadline_s: seconds > 0. on_time: probability in (0, 1). Raises InputError when no class is that strict.
        """
        if not (is_positive(as_number(deadline_s)) and 0 < as_number(on_time) < 1):
            raise InputError(
                f"deadline_s={deadline_s!r}, on_time={on_time!r}: seconds > 0 and a probability in (0, 1)"
            )
        covering = [q for q in self.qos if q.deadline_s <= deadline_s and q.on_time >= on_time]
        if not covering:
            raise InputError(
                f"no class promises {on_time} within {deadline_s} s; there are "
                + ", ".join(f"{q.name} ({q.on_time} within {q.deadline_s} s)" for q in self.qos)
            )
        return max(covering, key=lambda q: (q.priority, q.deadline_s, -q.on_time))

    def report(self, resource: str, *, at: float | None = None, **values: float) -> None:
        """What a resource says of itself; absent stays as it was, NaN = became unknown, neither is ever 0.

        values: reported columns of the models by name, >= 0; and `running` and `waiting`, how many jobs are in
        service and queued there, from everybody, ours included. Those beyond our own at that time are others': they
        take slots and make ours wait, each for the mean service of the resource. What a report says of them is worth
        less with its age, 1 / e after 8 mean services, until only our own jobs are counted on, as where they became
        unknown. Ours are always counted as we know them: dispatches since the report are in. Say
        `complete(service_s)` where others use the resource too: inferred starts know nothing of them.
        A resource with a soft capacity (`max_running`) heeds the counts only where they are columns too.
        at: when it was measured, seconds of the engine's clock (None = now, and what lies ahead of it); a report
        older than the last one of this resource is ignored.
        Raises UnknownName, InputError, and then changes nothing. Cost: microseconds.
        """
        self._reports.report(resource, at, values)

    def profile(
        self,
        resource: str,
        model: str,
        features: Sequence[float] | None = None,
        *,
        signal: str | None = None,
    ) -> ProfileSummary:
        """What is believed of one (resource, model) at raw `features` (None: at their typical values, idle).

        signal: which of the model's signals; None = the first. Raises UnknownName, InputError (it cannot run it).
        """
        lane = self.lane(resource)
        declared, index = self._declared.model(model), self._declared.model_index(model)
        signals = declared.signals
        if signal is not None and signal not in signals:
            raise UnknownName(f"model {model!r} has no signal {signal!r}; it has {', '.join(signals)}")
        if lane not in self._core.candidates(index):
            raise InputError(f"resource {resource!r} cannot run model {model!r}: nothing is believed of that")
        which = signals.index(signal) if signal is not None else 0
        x = self._encode(declared, index, features)
        given = which == 0 and self._core.is_given(index, lane)
        service_s = occupied_s(self._core, index, lane, x, len(signals))
        throughput = self._core.throughput(index, lane, x, service_s)
        load_s = self._core.load_s(index, lane)
        return summarise(
            resource, model, x, self._core.posterior(index, lane, which), given, throughput, load_s
        )

    def length(self, model: str, features: Sequence[float] | None = None) -> LengthSummary:
        """How many tokens an answer of a model with two signals will have, over all resources; at raw `features`
        (None: at their typical values). Raises UnknownName, InputError."""
        declared, index = self._declared.model(model), self._declared.model_index(model)
        if not declared.streams:
            raise InputError(f"model {model!r} has one signal: nothing is known of its answers' lengths")
        return LengthSummary(model, *self._core.length(index, self._encode(declared, index, features)))

    def _encode(self, model: Model, index: int, features: Sequence[float] | None) -> NDArray[np.float64]:
        """A whole row (d,): typical values where None, columns idle."""
        x = np.zeros(model.d)
        x[0] = 1.0
        if features is not None:
            row = as_row(f"Model {model.name!r}", features, len(model.features))
            encoded = self._core.encode(index, row)
            x[: len(encoded)] = encoded
        return x

    def health(self, resource: str) -> Breaker:
        """Where the resource's breaker stands now. Raises UnknownName."""
        return Breaker(resource=resource, **self._core.breaker(self.lane(resource)))

    def alarms(self, resource: str) -> int:
        """How often a resource was found to have changed, ever. Raises UnknownName.

        Each completion of a profile with 8 results or more is compared with the forecast that the profile makes
        of it then; a two-sided CUSUM of the standardised residuals (Page 1954) raises the alarm. What all models
        had learned of that resource's latency then counts as at most 8 results: they re-learn within a few jobs.
        """
        return self._core.alarms(self.lane(resource))

    def overdue(self, resource: str) -> int:
        """Jobs in service for longer than they should be: beyond the 99.9% quantile of their forecast and twice its
        mean, when the engine last looked (decisions and settlements look). Raises UnknownName.

        While no job completes on a resource with overdue ones it is taken to hang with odds 1, 250, 250^2 ..., and
        its availability falls by that factor: it gets next to no traffic though it never reports a result.
        """
        return self._core.overdue(self.lane(resource))

    def changed(self, resource: str) -> None:
        """Tells that a resource is not what it was (restarted, throttled, repaired): acts like an alarm, and what
        is known of its availability counts as at most 8 results too. An ejected resource is due for a probe at once,
        and its backoffs start over. Raises UnknownName.
        """
        self._core.changed(resource)

    def take_disturbed(self) -> int:
        """Bit set of lanes on which an alarm or the breaker went off since the last call: whoever owns their queues
        should let the jobs in them be reconsidered."""
        return self._core.take_disturbed()

    def reset(self, resource: str, model: str | None = None) -> None:
        """Forgets what was learned of a resource on one model (None: on all), as if it were new: latency and
        availability start again from the prior, a given profile with its whole weight. What its jobs in flight
        teach counts. Raises UnknownName. Cost: O(models x resources)."""
        names = [m.name for m in self.models] if model is None else [model]
        self._core.reset(resource, [self._declared.model_index(name) for name in names])

    def certificate(self, qos: str) -> Certificate:
        """What was promised to the jobs of a class against what became of them. Raises UnknownName."""
        return summarise_promises(qos, self._core.certificate(self._declared.qos_index(qos)))

    def statistics(self) -> tuple[Statistics, ...]:
        """What was seen so far of every (resource, model) with a result: data only, as numbers that add up."""
        return collect_statistics(self._core, self._declared)

    def merge(self, statistics: Sequence[Statistics]) -> None:
        """Adds what other engines saw (their `statistics()`), as if this one had seen it just now.

        Their models must be declared alike. Merge each engine's own data once: they hold no prior, and what was
        merged is counted from then on. Raises UnknownName, InputError, and then changes nothing.
        Cost: O(resources d^3) for each.
        """
        add_statistics(self._core, self._declared, statistics)

    @property
    def in_flight(self) -> int:
        """Open tickets."""
        return int(self._core.counters["n_open"])

    @property
    def counters(self) -> Mapping[str, int]:
        """n_open tickets now; n_abandoned tickets, n_clipped encoded values, n_alarms of all resources and n_untimed
        completions, by a clock that went back since the start, ever."""
        return self._core.counters

    def _add_model(self, model: Model) -> None:
        allowed = self._declared.candidates(model)
        features = features_of(model)
        index = self._core.add_model(
            [f.typical or 0.0 for f in features],
            [f.knee for f in features],
            columns_of(model),
            [r.offset_s if lane in allowed else math.inf for lane, r in enumerate(self._declared.resources)],
            len(model.signals),
            prompt_of(model),
            model.tau_s or 0.0,
            items_of(model),
        )
        for lane in allowed:
            self._core.exclude(index, lane, excluded_by(model, self._declared.resources[lane]))
