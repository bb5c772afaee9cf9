"""What a ticket says where nothing was forecast of its job."""

from __future__ import annotations

import pytest

import tailwise as tw

FORECASTS = (
    "p_on_time",
    "p_raw",
    "wait_s",
    "service_s",
    "median_s",
    "expected_s",
    "end_s",
    "tpot_s",
    "tokens",
    "bound_s",
    "hedge_at_s",
)


@pytest.mark.parametrize("mode", ["active", "bypass"])
@pytest.mark.parametrize("signals", [("service",), ("ttft", "tpot")])
def test_where_nothing_was_forecast_every_forecast_is_none(mode: str, signals: tuple[str, ...]) -> None:
    """Nobody took the job, or nothing was decided of it: then as of a job tried again. Of any other job each is a
    number, but what follows a first token where there is none."""
    chat = tw.QoS("chat", **({"ttft_s": 9.0} if len(signals) == 2 else {"deadline_s": 9.0}))
    e = tw.Engine([tw.Resource("a"), tw.Resource("b")], [tw.Model("m", signals=signals)], [chat], seed=1)
    route = e.route("m", "chat")
    known = route.select(())
    absent = {name for name in FORECASTS if getattr(known, name) is None}
    assert absent == (set() if len(signals) == 2 else {"tpot_s", "tokens"})
    e.mode(mode)  # type: ignore[arg-type]
    tickets = [route.select((), default="a"), known.retry()] if mode == "bypass" else []
    for name in ("a", "b"):
        e.drain(name)
    tickets += [route.select(()), known.retry()]
    for ticket in tickets:
        assert {name: getattr(ticket, name) for name in FORECASTS} == dict.fromkeys(FORECASTS)
        assert "nothing forecast" in repr(ticket)
        assert 0.0 < ticket.propensity <= 1.0
