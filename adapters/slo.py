"""Request headers to a class of service and a job's own bounds. No framework.

A bound that cannot be read is an error with the header's name, never "no deadline".
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import le
from typing import NoReturn, TypeAlias

from tailwise.engine import Engine
from tailwise.errors import InputError
from tailwise.qos import QoS

__all__ = [
    "CLASS",
    "DEADLINE",
    "HeaderError",
    "Headers",
    "Slo",
    "deadline_header",
    "read",
]

Headers: TypeAlias = Mapping[str, str] | Iterable[tuple[str, str] | tuple[bytes, bytes]]

CLASS = "x-tailwise-class"
DEADLINE = "x-tailwise-deadline-ms"
#: The inference gateway's, and its names before that.
TTFT = ("x-llm-d-slo-ttft-ms", "x-slo-ttft-ms")
TPOT = ("x-llm-d-slo-tpot-ms", "x-slo-tpot-ms")
SESSION = "x-session-id"
REQUEST_ID = "x-request-id"

_READ = frozenset((CLASS, DEADLINE, *TTFT, *TPOT, SESSION, REQUEST_ID))
_X = frozenset(("x-", "X-", b"x-", b"X-"))
#: A misspelt bound would be a job without one: whatever starts like one is refused.
_LIKE_BOUNDS = ("x-tailwise-deadline", "x-tailwise-class", "x-llm-d-slo-", "x-slo-ttft", "x-slo-tpot")
#: No sign, exponent, blank or digit of another script; floats are printed with up to 21 decimals.
_MS = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,21})?")
MOST_MS = (
    86_400_000.0  #: a day: no request waits for longer, and a client that says so has mixed up its units
)
LONGEST_ID = 256
SHOWN = 40  #: characters of a refused value that an error repeats


class HeaderError(InputError):
    """A request header cannot be heeded: `header`, its `value` (shortened, no control characters), `expected`."""

    def __init__(self, header: str, value: str, expected: str) -> None:
        self.header, self.value, self.expected = _shown(header), _shown(value), expected
        super().__init__(f"{self.header}: {self.value}, but {expected} is expected")


@dataclass(frozen=True, slots=True)
class Slo:
    """What a request asks for: its class, and the bounds that it brings itself (None = those of the class).

    ttft_s, tpot_s: seconds to the first token and per token after it. deadline_s: seconds from arrival to the end of
    the whole answer. budget_s: what `select(deadline_s=)` takes: the least of what bounds the first token where the
    class bounds that, else deadline_s.
    """

    qos: str
    deadline_s: float | None = None
    ttft_s: float | None = None
    tpot_s: float | None = None
    budget_s: float | None = None
    session: str | None = None
    request_id: str | None = None

    def bounds(self) -> dict[str, float]:
        """Keywords of `Route.select`: this job's own bounds, as far as it has any."""
        said = {"deadline_s": self.budget_s, "tpot_s": self.tpot_s}
        return {name: value for name, value in said.items() if value is not None}


def read(
    headers: Headers, classes: Engine | Iterable[QoS] | Mapping[str, QoS], default: str | None = None
) -> Slo:
    """What the headers ask for.

    headers: a mapping of names to values, or pairs of texts or of bytes, which show what was sent twice; upper and
    lower case are one. classes: those that the model may run under, as they are or by name. default: name of the
    class of a request that names none and whose bounds no class covers; None = such a request is refused.
    With bounds and no class it is the least urgent class that promises all of them, like `Engine.classify`.
    Raises HeaderError: what cannot be read, is not above 0 or is beyond a day, contradicts itself, names no class, or
    bounds what the class does not. Cost: microseconds.
    """
    said = _collect(headers)
    qos_by_name = classes if isinstance(classes, Mapping) else _by_name(classes)
    deadline_s = _seconds(said, DEADLINE)
    ttft_s, tpot_s = _seconds(said, *TTFT), _seconds(said, *TPOT)
    qos = _class_of(said, qos_by_name, default, deadline_s, ttft_s, tpot_s)
    for names, bound_s, bounds_it in ((TTFT, ttft_s, qos.ttft_s), (TPOT, tpot_s, qos.tpot_s)):
        if bound_s is not None and bounds_it == math.inf:
            header = next(name for name in names if name in said)
            raise HeaderError(
                header, said[header], f"a class that has such a bound, as {qos.name!r} has not,"
            )
    return Slo(
        qos=qos.name,
        deadline_s=deadline_s,
        ttft_s=ttft_s,
        tpot_s=tpot_s,
        budget_s=_budget_s(qos, deadline_s, ttft_s),
        session=_id(said, SESSION),
        request_id=_id(said, REQUEST_ID),
    )


def deadline_header(left_s: float) -> dict[str, str]:
    """What to send downstream: the milliseconds that are left, rounded down. Nothing where there is no deadline; of
    one that is over the least that can be said, so that it is refused there, too."""
    if left_s == math.inf:
        return {}
    left_us = math.floor(min(left_s * 1e3, MOST_MS) * 1e3) if left_s > 0.0 else 0
    return {DEADLINE: f"{max(left_us, 1) * 1e-3:.3f}"}


def _by_name(classes: Engine | Iterable[QoS]) -> dict[str, QoS]:
    return {q.name: q for q in (classes.qos if isinstance(classes, Engine) else classes)}


def _collect(headers: Headers) -> dict[str, str]:
    """The headers that are read, by lower-case name. Raises HeaderError where one was sent twice and differs."""
    said: dict[str, str] = {}
    for raw_name, raw_value in headers.items() if isinstance(headers, Mapping) else headers:
        if raw_name[:2] not in _X:  # most are not ours, and need no look
            continue
        name = (raw_name.decode("latin-1") if isinstance(raw_name, bytes) else raw_name).lower()
        if name not in _READ:
            if name.startswith(_LIKE_BOUNDS):
                raise HeaderError(name, _text(raw_value), f"one of the names {', '.join(sorted(_READ))}")
            continue
        value = _text(raw_value).strip(" \t")
        if said.setdefault(name, value) != value:
            raise HeaderError(name, f"{said[name]} and {value}", "one value")
    return said


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _seconds(said: Mapping[str, str], *names: str) -> float | None:
    """Of the one bound that these names stand for."""
    found = [(name, said[name]) for name in names if name in said]
    if not found:
        return None
    bounds_s: list[float] = []
    for name, value in found:
        ms = float(value) if _MS.fullmatch(value) else math.nan
        if not 0.0 < ms <= MOST_MS:
            raise HeaderError(name, value, "a number of milliseconds > 0, at most a day")
        bounds_s.append(ms * 1e-3)
    if len(set(bounds_s)) > 1:
        names_and_values = " and ".join(f"{name}: {value}" for name, value in found[1:])
        raise HeaderError(found[0][0], found[0][1], f"the same as in {names_and_values}"[:200])
    return bounds_s[0]


def _class_of(
    said: Mapping[str, str],
    classes: Mapping[str, QoS],
    default: str | None,
    deadline_s: float | None,
    ttft_s: float | None,
    tpot_s: float | None,
) -> QoS:
    if CLASS in said:
        return classes.get(said[CLASS]) or _no_class(said[CLASS], classes)
    if (deadline_s, ttft_s, tpot_s) != (None, None, None):
        within = [math.inf if bound is None else bound for bound in (deadline_s, ttft_s, tpot_s)]
        covering = [q for q in classes.values() if all(map(le, (q.deadline_s, q.ttft_s, q.tpot_s), within))]
        if covering:
            return max(covering, key=lambda q: (q.priority, q.deadline_s, q.ttft_s, q.tpot_s, -q.on_time))
    if default is None:
        return _no_class("not there", classes)
    if default not in classes:
        raise InputError(f"default={default!r}: one of {', '.join(map(repr, classes))} is expected")
    return classes[default]


def _no_class(value: str, classes: Mapping[str, QoS]) -> NoReturn:
    raise HeaderError(CLASS, value, f"one of {', '.join(sorted(classes))}")


def _budget_s(qos: QoS, deadline_s: float | None, ttft_s: float | None) -> float | None:
    """Where the class bounds the first token `select` takes no bound on the end: the token comes no later than it."""
    if qos.ttft_s == math.inf or deadline_s is None:
        return deadline_s if qos.ttft_s == math.inf else ttft_s
    budget_s = min(deadline_s, qos.ttft_s if ttft_s is None else ttft_s)
    return None if budget_s == qos.ttft_s else budget_s


def _id(said: Mapping[str, str], name: str) -> str | None:
    """None where it is not there or empty, as templates leave it."""
    value = said.get(name)
    if not value:
        return None
    if len(value) > LONGEST_ID or not value.isprintable():
        raise HeaderError(name, value, f"at most {LONGEST_ID} printable characters")
    return value


def _shown(value: str) -> str:
    """Safe in a log line and in a response's body."""
    return ascii(value if len(value) <= SHOWN else value[:SHOWN] + "...")[1:-1]
