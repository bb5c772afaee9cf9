"""[[model]] tables: what clients ask for by name, and what of a request tells how long it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from tailwise.adapters.gateway.tables import build, no_others
from tailwise.column import Column
from tailwise.errors import ConfigError
from tailwise.types import Feature, Model
from tailwise.validate import hold_flag, hold_number, is_one_of, is_positive, require, require_name

__all__ = ["COLUMNS", "ModelTable", "Source", "model_of"]

#: What drives the latency of a language model's replica, under the names that a file may list.
COLUMNS: Mapping[str, Column] = MappingProxyType(
    {
        # tokens that jobs before this one must still read, and its own that are in no cache there
        "ahead": Column("ahead", tracked="prefill_tokens", plus="uncached", scale=512, square=True),
        "busy": Column("busy", tracked="running", scale=4, square=True),
        "kv": Column("kv", tracked="kv_tokens", scale=20_000),
        "uncached": Column("uncached", scale=512),
        "session": Column("session", scale=1),  # 1 on the backend that had the session's last request
        "waiting": Column("waiting", reported=True, scale=4),
        "kv_share": Column("kv", reported=True, scale=0.25),
    }
)
DEFAULT_COLUMNS = ("ahead", "busy", "uncached", "session")


@dataclass(frozen=True, slots=True)
class Source:
    """[[model.feature]] of a model behind plain HTTP: `body` is the body's bytes, `header:NAME` a number in a header.

    typical, knee: as `tailwise.Feature`. typical is what a request without the header counts as.
    """

    name: str
    source: str = "body"
    typical: float | None = None
    knee: bool = False

    def __post_init__(self) -> None:
        require_name("[[model.feature]]", self.name)
        me = f"[[model.feature]] {self.name!r}"
        text = isinstance(self.source, str)
        known = text and (
            self.source == "body" or (self.source.startswith("header:") and len(self.source) > 7)
        )
        require(known, me, "source", self.source, "'body' or 'header:NAME'")
        Feature(self.name, self.typical, self.knee)

    @property
    def header(self) -> bytes | None:
        """Name of the header in lower case; None = the body's size."""
        return None if self.source == "body" else self.source[7:].lower().encode("latin-1", "replace")


@dataclass(frozen=True, slots=True)
class ModelTable:
    """[[model]]: a name that clients ask for.

    aliases: further ones. backend_name: what backends call it; None = as the client did. api: "openai" (requests
    under /v1 that name it), or "http" (whatever is sent to `paths`, prefixes). streams: are its answers token by
    token; then the first token and the pace are learned of those that are streamed. typical_prompt, typical_answer:
    tokens, known within 4x. columns: names of COLUMNS or tables of `tailwise.Column`, at most 4. include_usage: ask
    backends to end streamed answers with their usage though the client did not, who then sees it, too.
    """

    name: str
    aliases: tuple[str, ...] = ()
    backend_name: str | None = None
    api: Literal["openai", "http"] = "openai"
    streams: bool | None = None
    typical_prompt: float = 512.0
    typical_answer: float = 256.0
    columns: tuple[Column, ...] | None = None
    paths: tuple[str, ...] = ()
    features: tuple[Source, ...] = ()
    requires: frozenset[str] = frozenset()
    tau_s: float | None = None
    include_usage: bool = False
    model: Model = field(init=False)

    def __post_init__(self) -> None:
        require_name("[[model]]", self.name)
        me = f"[[model]] {self.name!r}"
        require(is_one_of(self.api, ("openai", "http")), me, "api", self.api, "'openai' or 'http'")
        if self.backend_name is not None:
            require_name(me, self.backend_name, "backend_name")
        for alias in self.aliases:
            require_name(me, alias, "aliases")
        plain = self.api == "http"
        if self.streams is None:
            object.__setattr__(self, "streams", not plain)
        hold_flag(self, me, "streams", "include_usage")
        for name in ("typical_prompt", "typical_answer"):
            hold_number(self, me, name, is_positive, "tokens > 0")
        rooted = all(isinstance(path, str) and path.startswith("/") for path in self.paths)
        require(rooted, me, "paths", self.paths, "paths that start with /")
        require(bool(self.paths) == plain, me, "paths", self.paths, "for api 'http', and only there, paths")
        require(
            plain or not self.features, me, "feature", self.features, "no feature: they are the prompt's,"
        )
        require(not (plain and self.streams), me, "streams", self.streams, "false for api 'http'")
        object.__setattr__(self, "model", self._declare())

    def _declare(self) -> Model:
        if self.api == "http":
            features = tuple(Feature(f.name, f.typical, f.knee) for f in self.features)
        else:
            features = (
                Feature("prompt_tokens", typical=self.typical_prompt, knee=True),
                Feature("max_tokens", typical=self.typical_answer),
            )
        columns = self.columns
        if columns is None:
            columns = tuple(COLUMNS[name] for name in DEFAULT_COLUMNS) if self.api == "openai" else ()
        return Model(
            self.name,
            features=features,
            columns=columns,
            signals=("ttft", "tpot") if self.streams else ("service",),
            requires=self.requires,
            tau_s=self.tau_s,
        )

    @property
    def names(self) -> tuple[str, ...]:
        """What clients may call it."""
        return (self.name, *self.aliases)


def model_of(row: Mapping[str, Any], where: str) -> ModelTable:
    """One [[model]] table. Raises ConfigError."""
    table = dict(row)
    sources = table.pop("feature", [])
    if not isinstance(sources, list):
        raise ConfigError(f"{where}: feature={sources!r}, but [[model.feature]] tables are expected")
    table["features"] = [build(Source, source, f"{where}: [[model.feature]]") for source in sources]
    if "columns" in table:
        table["columns"] = _columns(table["columns"], where)
    no_others(where, row, (*_KEYS, "feature"))
    return build(ModelTable, table, where)


_KEYS = tuple(name for name in ModelTable.__dataclass_fields__ if name not in ("model", "features"))


def _columns(given: object, where: str) -> list[Column]:
    if not isinstance(given, list):
        raise ConfigError(f"{where}: columns={given!r}, but a list of names and tables is expected")
    columns = []
    for column in given:
        if isinstance(column, str):
            if column not in COLUMNS:
                raise ConfigError(f"{where}: columns names {column!r}; known are {', '.join(COLUMNS)}")
            columns.append(COLUMNS[column])
        else:
            columns.append(build(Column, column, f"{where}: columns"))
    return columns
