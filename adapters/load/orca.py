"""ORCA: a server's load in the headers of its response."""

from __future__ import annotations

import json
from collections.abc import Mapping

from tailwise.adapters.load.formats import FORMATS, Format
from tailwise.adapters.load.report import Report
from tailwise.errors import InputError
from tailwise.validate import as_number, is_number

__all__ = ["ORCA_REQUEST", "ORCA_RESPONSE", "read_orca"]

#: A request with this header is answered with the other: by vLLM where the answer is no stream, and by Triton.
ORCA_REQUEST = {"endpoint-load-metrics-format": "text"}
ORCA_RESPONSE = "endpoint-load-metrics"

#: A header is short; whatever is longer is none of ours to parse in a request's path.
MOST_CHARS = 4096


def read_orca(headers: Mapping[str, str], form: Format = FORMATS["orca"]) -> Report | None:
    """What a response's headers say of the load; None where they say nothing.

    headers: by name, whatever its case. The value is `TEXT key=number, ...` or `JSON {...}`, in the fields of an
    OrcaLoadReport; servers that leave the word out are understood. Raises InputError: it is neither, a key is told
    twice, or a value is no number. The binary form, which gRPC uses, is not read.
    """
    told = headers.get(ORCA_RESPONSE)
    if told is None:  # a plain dict knows the name in one case only
        told = next((value for name, value in headers.items() if name.lower() == ORCA_RESPONSE), None)
    if told is None:
        return None
    if len(told) > MOST_CHARS:
        raise InputError(f"{ORCA_RESPONSE}: {len(told)} characters, at most {MOST_CHARS} are expected")
    word, _, rest = told.strip().partition(" ")
    kind = word.upper()
    text = rest.strip() if kind in ("TEXT", "JSON") else told.strip()
    if kind == "BIN":
        raise InputError(f"{ORCA_RESPONSE}: BIN, but TEXT or JSON is expected; ask for one by {ORCA_REQUEST}")
    numbers = _of_json(text) if kind == "JSON" or text.startswith("{") else _of_text(text)
    return Report.of(form, lambda name: [({}, numbers[name])] if name in numbers else [])


def _of_text(text: str) -> dict[str, float]:
    numbers: dict[str, float] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        key, _, value = part.partition("=" if "=" in part else ":")  # Envoy has the colon
        try:
            number = float(value)
        except ValueError:
            raise InputError(f"{ORCA_RESPONSE}: {part!r}, but key=number is expected") from None
        _put(numbers, key.strip(), number)
    return numbers


def _of_json(text: str) -> dict[str, float]:
    try:
        table = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{ORCA_RESPONSE}: it is no JSON: {error!r}") from None
    if not isinstance(table, dict):
        raise InputError(f"{ORCA_RESPONSE}: {text[:80]!r}, but an object is expected")
    numbers: dict[str, float] = {}
    for key, value in table.items():
        inner = value.items() if isinstance(value, dict) else [("", value)]
        for name, number in inner:
            if not is_number(number):
                raise InputError(f"{ORCA_RESPONSE}: {key}.{name}={number!r}, but a number is expected")
            _put(numbers, f"{key}.{name}" if name else key, as_number(number))
    return numbers


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    table = dict(pairs)
    if len(table) < len(pairs):
        raise ValueError("a key is told twice")
    return table


def _put(numbers: dict[str, float], key: str, number: float) -> None:
    if key in numbers:
        raise InputError(f"{ORCA_RESPONSE}: {key!r} is told twice")
    numbers[key] = number
