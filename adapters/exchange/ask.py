"""What one request asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from tailwise.adapters.slo import read
from tailwise.engine import Engine
from tailwise.errors import InputError
from tailwise.family import Family
from tailwise.route import Route

__all__ = ["Ask", "TokenReader", "asked_by"]


class TokenReader(Protocol):
    """Reads one answer along with whoever it is for: an OpenAI stream, say."""

    @property
    def started(self) -> bool:
        """The first token has come: no comment, no keep-alive, no empty delta."""

    @property
    def ended(self) -> bool | None:
        """The last one has come; None where the format does not tell."""

    @property
    def tokens(self) -> int | None:
        """How many have come, as far as is known."""

    def feed(self, chunk: bytes) -> None:
        """The next bytes of the body, cut anywhere. May not raise."""


#: By the answer's headers, before its first byte; None = nothing can be read.
TokenReaders: TypeAlias = Callable[[Mapping[str, str]], TokenReader | None]


@dataclass(frozen=True, slots=True)
class Ask:
    """The job that a request stands for. model: or the name of a family; qos and the rest: as in `Route.select`.

    Z: the array, or what fills it for a route, called once a decision. tokens: makes the reader of an answer; without
    it the first token of a model with two signals is said at the first `data:` of an event stream, and of any other
    answer never. repeatable: the request may be sent again, and in two copies, when a backend may have begun with it:
    an inference changes nothing, and the OpenAI SDK, too, sends its POSTs again. Say False of one that does; it is
    then sent again only where no backend has taken it. A body that is not bytes is never sent twice.
    """

    model: str
    qos: str
    x: Any = ()
    Z: Any | Callable[[Route | Family], Any] = None
    mask: Any = None
    deadline_s: float | None = None
    tpot_s: float | None = None
    arrival_s: float | None = None
    default: str | None = None
    request_id: str | None = None
    tokens: TokenReaders | None = None
    repeatable: bool = True

    def options(self) -> dict[str, Any]:
        """What was said, as keywords of `Journal.select`; but for its bounds in time, which `narrow` makes."""
        names = ("tpot_s", "default", "request_id")
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    def given(self, route: Route | Family) -> Any:
        return self.Z(route) if callable(self.Z) else self.Z


def asked_by(request: Any, engine: Engine) -> Ask:
    """The Ask in `request.extensions["tailwise"]`; else what its headers say (`tailwise.adapters.slo`), of the one
    model that the engine has. Raises InputError: neither tells which job it is."""
    ask = request.extensions.get("tailwise")
    if isinstance(ask, Ask):
        return ask
    if ask is not None or len(engine.models) != 1:
        raise InputError(
            f"extensions['tailwise']={ask!r}: an Ask, which names one of the models "
            + ", ".join(repr(model.name) for model in engine.models)
        )
    slo = read(request.headers, engine)
    bounds = {"deadline_s": slo.budget_s, "tpot_s": slo.tpot_s, "request_id": slo.request_id}
    return Ask(engine.models[0].name, slo.qos, **bounds)  # type: ignore[arg-type]
