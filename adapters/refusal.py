"""A refused job as an HTTP response: status, headers, and a body in the shape of OpenAI's errors. No framework."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, TypeAlias

from tailwise.adapters.entry import Entry
from tailwise.adapters.slo import HeaderError
from tailwise.errors import CapacityError, JobExpired, JobRejected, JobTimedOut, QueueFull

__all__ = ["EntryRefused", "Refusal", "Refused", "answer_error", "refuse"]

Refused: TypeAlias = Entry | JobRejected | QueueFull | JobExpired | JobTimedOut | HeaderError | CapacityError

#: By the stable reason id: status, and what whoever asked can do.
_ANSWERS = {
    "late": (429, "allow it more time, or send it when less is queued"),
    "guarantee": (429, "send it when less is queued, or ask for a class that promises less"),
    "throughput": (429, "send it again later, or ask for a class with a lower min_throughput"),
    "queue_full": (429, "send it when jobs have left the queue"),
    "expired": (429, "it waited until its deadline; send it when less is queued"),
    "no_resource": (503, "no resource takes jobs now; send it elsewhere"),
    "memory": (503, "no resource has the memory for this model; send it elsewhere"),
    "affinity": (503, "no resource has the labels that this model requires; send it elsewhere"),
    "accuracy": (503, "no variant is as accurate as the class asks; ask for another class"),
    "cost": (503, "no resource is as cheap as the class asks; ask for another class"),
    "too_many_open": (503, "send it again when jobs have ended"),
    "timed_out": (504, "it took until its deadline; allow it more time"),
    "bad_header": (400, "correct the header"),
}
_ELSE = (503, "send it elsewhere")
#: The field of the class, or of the model, that the job would have broken.
_BOUNDS = {
    "guarantee": "on_time",
    "throughput": "min_throughput",
    "accuracy": "min_accuracy",
    "cost": "max_cost",
    "memory": "memory_bytes",
    "affinity": "requires",
}
_ERRORS = {
    QueueFull: "queue_full",
    JobExpired: "expired",
    JobTimedOut: "timed_out",
    HeaderError: "bad_header",
    CapacityError: "too_many_open",
}
#: Seconds after which a place may be free where as many jobs are open as may be: the least that the header can say.
FREE_S = 1.0


class EntryRefused(JobRejected):
    """Admission refused the job; `entry` is its entry in the journal."""

    def __init__(self, entry: Entry) -> None:
        reason, retry_after_s = entry.reason or "", entry.decision.retry_after_s
        super().__init__(_say(reason, entry, retry_after_s), reason, retry_after_s)
        self.entry = entry


@dataclass(frozen=True, slots=True)
class Refusal:
    """status, headers (names in lower case, content-type and content-length among them), body as JSON."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def refuse(refused: Refused) -> Refusal:
    """The response to a job that was not run to its end: 429 where waiting may help, 503 where it does not, 400 for a
    header that cannot be heeded, 504 for a job that was given up in service."""
    entry = refused if isinstance(refused, Entry) else getattr(refused, "entry", None)
    reason, retry_after_s = _reason(refused)
    status, todo = _ANSWERS.get(reason, _ELSE)
    return answer_error(
        status,
        reason,
        # what the engine says of its capacity is for its operator
        _say(reason, entry, retry_after_s)
        if entry or isinstance(refused, CapacityError)
        else f"{refused}; {todo}",
        param=refused.header if isinstance(refused, HeaderError) else None,
        retry_after_s=retry_after_s,
        **(_facts(entry) if entry else {}),
    )


def answer_error(
    status: int,
    reason: str,
    message: str,
    *,
    param: str | None = None,
    retry_after_s: float | None = None,
    **facts: Any,
) -> Refusal:
    """An error of ours in the shape of OpenAI's: message, type, param, and the stable reason id as its code.

    retry_after_s: None where it is not known, or does not help. facts: what JSON takes, under "tailwise".
    """
    error = {
        "message": message,
        "type": _type(status),
        "code": reason,
        "param": param,
        "tailwise": {"reason": reason, "retry_after_s": retry_after_s, **facts},
    }
    headers = [("content-type", "application/json"), ("x-tailwise-reason", reason)]
    if status >= 429:
        headers.append(("x-llm-d-request-dropped-reason", reason))
    if (
        retry_after_s is not None
    ):  # whole seconds are the standard's, milliseconds what OpenAI's clients ask for first
        headers.append(("retry-after", str(max(1, math.ceil(retry_after_s)))))
        headers.append(("retry-after-ms", str(max(1, math.ceil(retry_after_s * 1e3)))))
    elif status == 503:  # those clients try a 503 again at once, unless they are told not to
        headers.append(("x-should-retry", "false"))
    body = json.dumps({"error": error}, allow_nan=False).encode()
    return Refusal(status, (*headers, ("content-length", str(len(body)))), body)


def _type(status: int) -> str:
    if status == 429:
        return "rate_limit_error"
    return "invalid_request_error" if status < 500 else "server_error"


def _reason(refused: Refused) -> tuple[str, float | None]:
    if isinstance(refused, Entry):
        return refused.reason or "", _finite(refused.decision.retry_after_s)
    if isinstance(refused, JobRejected):
        return refused.reason, _finite(refused.retry_after_s)
    reason = next(reason for kind, reason in _ERRORS.items() if isinstance(refused, kind))
    return reason, FREE_S if isinstance(refused, CapacityError) else None


def _bound(entry: Entry) -> tuple[str, float | None]:
    """The bound's name and value, where it is a number."""
    qos, reason = entry.qos, entry.reason or ""
    if reason == "late":
        return ("ttft_s" if qos.ttft_s < math.inf else "deadline_s"), _finite(entry.decision.left_s)
    owner = entry.ticket.model if reason in ("memory", "affinity") else qos
    value = getattr(owner, _BOUNDS[reason], None) if reason in _BOUNDS else None
    return _BOUNDS.get(reason, reason), _finite(value) if isinstance(value, int | float) else None


def _facts(entry: Entry) -> dict[str, Any]:
    name, value = _bound(entry)
    return {
        "class": entry.decision.qos,
        "model": entry.decision.model,
        "bound": {"name": name, "value": value},
        "nearest": entry.resource,
        "p_on_time": _finite(entry.decision.p_on_time),
        "request_id": entry.decision.request_id,
    }


def _say(reason: str, entry: Entry | None, retry_after_s: float | None) -> str:
    """One sentence: what was refused, by which bound, and what to do."""
    _, todo = _ANSWERS.get(reason, _ELSE)
    if entry is None:
        return f"the job was refused ({reason}): {todo}"
    name, value = _bound(entry)
    bound = f", {name} {value:g}" if value is not None else "" if name == reason else f", {name}"
    p = entry.decision.p_on_time
    nearest = (
        f", {entry.resource} would be on time with probability {p:.2g}"
        if entry.resource and p is not None
        else ""
    )
    wait = f" (in {max(1, math.ceil(retry_after_s))} s)" if retry_after_s is not None else ""
    return f"class {entry.decision.qos!r} refused the job ({reason}{bound}{nearest}): {todo}{wait}"


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
