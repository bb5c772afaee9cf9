"""Context per candidate: numbers of a resource that drive the latency of what is sent there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from tailwise.validate import hold_flag, hold_number, is_one_of, is_positive, require

__all__ = ["Column", "Tracked"]

Tracked = Literal["running", "waiting", "in_flight", "prefill_tokens", "kv_tokens"]

#: Parameters of `engine.report`, where a reported column is a keyword.
TAKEN = frozenset({"self", "resource", "at"})


@dataclass(frozen=True, slots=True)
class Column:
    """A number that differs per candidate, encoded z = ln(1 + v / scale), clipped at 6; NaN or absent = unknown.

    scale: a value of v that matters, > 0. tracked: the engine counts it over the open jobs of the resource, of all
    models: how many are "running", "waiting" or both ("in_flight"); "prefill_tokens" that jobs before their first
    token must still read (what `plus` said of them, else their prompt); "kv_tokens", prompts and answers so far, in
    its cache (as far as `ticket.progress` tells). reported: it comes by `engine.report(resource, NAME=value)`.
    Neither: it is given with each call, in Z. plus: a name whose number, given with each call, is added before
    encoding: what a job brings itself, in the unit of what is tracked or reported.
    square: z^2 is learned too, since latency rises faster as a resource fills. times: the name of a feature whose
    encoded number times z is learned too. Both count into the encoded size. For a column that measures load
    (tracked or reported) the slope at any z is at least 0: more load never speeds a job up.
    """

    name: str
    scale: float
    tracked: Tracked | None = None
    reported: bool = False
    plus: str | None = None
    square: bool = False
    times: str | None = None

    def __post_init__(self) -> None:
        me = f"Column {self.name!r}"
        require(_is_name(self.name), "Column", "name", self.name, "an identifier")
        hold_number(self, me, "scale", is_positive, "a finite number > 0")
        hold_flag(self, me, "reported", "square")
        kinds = get_args(Tracked)
        expected = f"one of {', '.join(map(repr, kinds))} or None"
        require(self.tracked is None or is_one_of(self.tracked, kinds), me, "tracked", self.tracked, expected)
        expected = "either tracked or reported, not both,"
        require(not (self.tracked and self.reported), me, "reported", self.reported, expected)
        expected = "a name that engine.report() does not take for something else"
        require(not self.reported or self.name not in TAKEN, me, "name", self.name, expected)
        expected = "an identifier, on a tracked or reported column,"
        given_alone = not (self.tracked or self.reported)
        plain = self.plus is None or (_is_name(self.plus) and not given_alone)
        require(plain, me, "plus", self.plus, expected)

    @property
    def given(self) -> str | None:
        """The name under which a part of it is given with each call; None = no part."""
        return self.plus if self.tracked or self.reported else self.name

    @property
    def d(self) -> int:
        """Encoded size: itself, its square, its product."""
        return 1 + self.square + (self.times is not None)


def _is_name(name: object) -> bool:
    return isinstance(name, str) and name.isidentifier()
