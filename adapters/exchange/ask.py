"""What one request asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from tailwise.family import Family
from tailwise.route import Route

__all__ = ["Ask", "TokenReader"]


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
        """What was said, as keywords of `Journal.select`."""
        names = ("deadline_s", "tpot_s", "arrival_s", "default", "request_id")
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    def given(self, route: Route | Family) -> Any:
        return self.Z(route) if callable(self.Z) else self.Z
