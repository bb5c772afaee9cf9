"""What a gateway's file describes, alive: the engine, its journal, and the models by the names that clients say."""

from __future__ import annotations

import dataclasses

from tailwise.adapters.gateway.config import Gateway
from tailwise.adapters.gateway.models import ModelTable
from tailwise.adapters.gateway.openai import Ratio
from tailwise.adapters.gateway.past import Past
from tailwise.adapters.gateway.reports import Reports
from tailwise.adapters.gateway.whole import Whole, whole_class, whole_model
from tailwise.adapters.journal import Journal
from tailwise.adapters.slo import Slo
from tailwise.engine import Engine
from tailwise.errors import ConfigError
from tailwise.qos import QoS, check_fit
from tailwise.types import Model

__all__ = ["Fleet", "Served"]


@dataclasses.dataclass(frozen=True, slots=True)
class Served:
    """One model: its table, the names of the backends that serve it, the classes that fit it, what a request whose
    headers ask for nothing gets, the rows of what is given with each call, what stands for its answers in one piece
    (None: it has no others), and its ratio of tokens to characters, which is learned."""

    table: ModelTable
    backends: tuple[str, ...]
    classes: tuple[QoS, ...]
    usual: Slo
    given: tuple[str, ...]
    whole: Whole | None
    ratio: Ratio = dataclasses.field(default_factory=Ratio)

    @property
    def name(self) -> str:
        return self.table.name


class Fleet:
    """journal: of an engine with these resources, models and classes, where a process has one already.

    Raises ConfigError on what only shows when the tables meet.
    """

    def __init__(self, config: Gateway, *, journal: Journal | None = None) -> None:
        self.config = config
        self.journal = Journal(_engine_of(config)) if journal is None else journal
        self.engine = self.journal.engine
        serving = config.serving
        self.past = Past(serving.prefix_blocks, serving.sessions)
        self.reports = Reports(self.engine, config.backends, serving.report_every_s)
        self.served = [self._serve(table) for table in config.models]
        self.by_name = {name: served for served in self.served for name in served.table.names}
        # the longest prefix first
        self.by_path = sorted(
            ((path, served) for served in self.served for path in served.table.paths),
            key=lambda pair: len(pair[0]),
            reverse=True,
        )

    def _serve(self, table: ModelTable) -> Served:
        backends = _backends_of(table, self.config)
        classes = tuple(q for q in self.config.qos if _fits(table.model, q))
        if not classes:
            raise ConfigError(
                f"{self.config.name}: [[model]] {table.name!r}: no [[qos]] bounds only what it predicts; "
                "a model that does not stream needs a class with a deadline_s, and without ttft_s"
            )
        names = [q.name for q in classes]
        wanted = self.config.default_class
        usual = Slo(wanted if wanted in names else names[0])
        whole = Whole(table.model, classes, table.typical_answer) if table.streams else None
        return Served(table, backends, classes, usual, tuple(table.model.given), whole)

    def at(self, path: str) -> Served | None:
        """The model behind plain HTTP whose paths this one starts with."""
        for prefix, served in self.by_path:
            if path.startswith(prefix) and (
                len(path) == len(prefix) or prefix[-1] == "/" or path[len(prefix)] == "/"
            ):
                return served
        return None


def _engine_of(config: Gateway) -> Engine:
    serving = config.serving
    models = [dataclasses.replace(t.model, resources=_backends_of(t, config)) for t in config.models]
    streamed = [model for model in models if model.streams]
    companions = []
    if streamed:
        models += map(whole_model, streamed)
        tokens = max(table.typical_answer for table in config.models if table.streams)
        companions = [q for q in (whole_class(qos, tokens) for qos in config.qos) if q is not None]
    try:
        engine = Engine(
            [backend.resource(serving.queue) for backend in config.backends],
            models,
            [*config.qos, *companions],
            seed=serving.seed,
            # a request has its tries one after the other, and one copy beside them
            max_tickets=max(4096, 2 * serving.max_open),
        )
    except ConfigError as error:
        raise ConfigError(f"{config.name}: {error}") from None
    engine.mode(serving.mode, rollout=serving.rollout)
    return engine


def _backends_of(table: ModelTable, config: Gateway) -> tuple[str, ...]:
    return tuple(b.name for b in config.backends if b.models is None or table.name in b.models)


def _fits(model: Model, qos: QoS) -> bool:
    try:
        check_fit(model, qos)
    except ConfigError:
        return False
    return True
