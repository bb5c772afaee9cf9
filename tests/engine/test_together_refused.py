"""What cannot be served together is refused by name, and nothing changes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import tailwise as tw
from tests.engine.riding import engine, queued, select


def a_started_one(e: tw.Engine) -> tw.Ticket:
    ticket = select(e)
    ticket.start()
    return ticket


def a_settled_one(e: tw.Engine) -> tw.Ticket:
    ticket = select(e)
    ticket.cancel()
    return ticket


def a_rider(e: tw.Engine) -> tw.Ticket:
    lead, rider = queued(e, [1.0, 1.0])
    lead.start_batch([rider], (2.0,))
    e.held = lead  # type: ignore[attr-defined]
    return rider


def a_refused_one(e: tw.Engine) -> tw.Ticket:
    e.drain("r")
    return select(e)


@pytest.mark.parametrize(
    ("error", "other"),
    [
        (tw.TicketError, a_started_one),
        (tw.TicketError, a_settled_one),
        (tw.TicketError, a_rider),
        (tw.TicketError, a_refused_one),
        (tw.TicketError, lambda e: select(e, lane=1)),
        (tw.InputError, lambda e: select(e, "columns")),
        (tw.InputError, lambda e: select(engine()[0])),
        (tw.InputError, lambda e: "a"),
    ],
    ids=[
        "started",
        "settled",
        "rides",
        "refused",
        "elsewhere",
        "of another model",
        "of another engine",
        "none",
    ],
)
@pytest.mark.parametrize("leads", [False, True])
def test_who_cannot_be_served_with_a_waiting_job_is_refused_by_name_and_nothing_changes(
    error: type[Exception], other: Callable[[tw.Engine], tw.Ticket], leads: bool
) -> None:
    e, _ = engine()
    waiting, bad = queued(e, [1.0, 1.0, 1.0]), other(e)
    if leads and not isinstance(bad, str):
        waiting, bad = [bad, *waiting[1:]], waiting[0]
    before = e._core.snapshot()
    with pytest.raises(error):
        waiting[0].start_batch([*waiting[1:], bad], (4.0,))
    assert e._core.snapshot() == before


def test_what_is_no_batch_is_refused_and_nothing_changes() -> None:
    e, _ = engine()
    a, b = queued(e, [1.0, 1.0])
    chat = e.route("chat", "low").select((9.0,), mask=1)
    before = e._core.snapshot()
    for lead, others, x in (
        (a, [a], (2.0,)),
        (a, [b, b], (2.0,)),
        (a, None, (2.0,)),
        (a, [b], (0.0,)),
        (a, [b], (1.0, 1.0)),
        (a, [b], "far"),
        (chat, [], (9.0,)),
    ):
        with pytest.raises(tw.InputError):
            lead.start_batch(others, x)  # type: ignore[arg-type]
    for x, p in (((2.0,), 0.0), ((2.0,), 1.0), ((2.0,), None), ((-2.0,), 0.5), ((), 0.5)):
        with pytest.raises(tw.InputError):
            a.service_within_s(x, p)  # type: ignore[arg-type]
    with pytest.raises(tw.InputError):
        chat.service_within_s((9.0,), 0.5)
    assert e._core.snapshot() == before
