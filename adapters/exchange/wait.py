"""Retry-After: how long a backend wants to be left alone."""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime

__all__ = ["LONGEST_AWAY_S", "retry_after_s"]

#: The longest that one answer can keep its backend from jobs: an hour. A date in another year is a broken clock, and
#: the breaker's own backoff sees to whatever lasts.
LONGEST_AWAY_S = 3600.0


def retry_after_s(value: str | None, now_s: float) -> float | None:
    """Seconds from a header's value (RFC 9110, 10.2.3): a count of seconds, or a date; now_s: since 1970.

    None where there is none, or none that can be read. Never below 0 nor beyond `LONGEST_AWAY_S`.
    """
    if value is None:
        return None
    text = value.strip()
    try:
        seconds = float(text) if text.replace(".", "", 1).isdigit() else seconds_until(text, now_s)
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), LONGEST_AWAY_S)


def seconds_until(date: str, now_s: float) -> float:
    """Raises ValueError."""
    at = parsedate_to_datetime(date)
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp() - now_s
