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

__all__ = ["Ask", "TokenReader", "asked_by", "by_headers"]


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


def by_headers(
    engine: Engine, model: str | None = None, default: str | None = None, **ask: Any
) -> Callable[[Any], Ask]:
    """Asks by what a request's headers say (`tailwise.adapters.slo`): class and bounds.

    model: None = the only one that the engine has. default: class of requests that name none. ask: what else an Ask
    takes. The function raises HeaderError, which a transport answers with 400. Raises InputError.
    """
    names = [model.name for model in engine.models]
    if model is None and len(names) != 1:
        raise InputError(f"model=None: one of {', '.join(map(repr, names))}, which the engine has")

    def asked(request: Any) -> Ask:
        slo = read(request.headers, engine, default)
        bounds: dict[str, Any] = {
            "deadline_s": slo.budget_s,
            "tpot_s": slo.tpot_s,
            "request_id": slo.request_id,
        }
        return Ask(model or names[0], slo.qos, **{**bounds, **ask})

    return asked


def asked_by(request: Any, engine: Engine) -> Ask:
    """The Ask in `request.extensions["tailwise"]`; of a request without one what its headers say. Raises InputError:
    neither tells which job it is; HeaderError."""
    ask = request.extensions.get("tailwise")
    if ask is None:
        return by_headers(engine)(request)
    if not isinstance(ask, Ask):
        raise InputError(f"extensions['tailwise']={ask!r}: an Ask is expected")
    return ask
