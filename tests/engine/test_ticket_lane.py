"""`ticket.lane`: where the resource stands in masks, told without a look at its name."""

import tailwise as tw


def engine() -> tw.Engine:
    return tw.Engine(
        [tw.Resource(f"r{i}", discipline="priority") for i in range(3)],
        [tw.Model("m")],
        [tw.QoS("q", 1.0)],
        clock=tw.ManualClock(),
        seed=1,
    )


def test_a_tickets_lane_is_that_of_its_resource_wherever_it_goes() -> None:
    e = engine()
    ticket = e.route("m", "q").select((), mask=0b110)
    assert ticket.lane == e.lane(ticket.resource.name)
    assert ticket.reconsider(mask=0b001)
    assert (ticket.lane, ticket.resource.name) == (0, "r0")
    ticket.start()
    copy = ticket.copy(mask=0b100)
    assert copy is None or copy.lane == 2
    e.remove("r0")
    assert ticket.lane == 0


def test_a_refused_ticket_without_a_resource_has_no_lane() -> None:
    e = engine()
    for i in range(3):
        e.drain(f"r{i}")
    refused = e.route("m", "q").select(())
    assert (refused.reason, refused.lane) == ("no_resource", -1)


def test_who_looks_on_or_passes_by_is_told_the_lane_of_the_others_choice() -> None:
    e = engine()
    route = e.route("m", "q")
    assert route.observe("r2", ()).lane == 2
    e.mode("bypass")
    assert route.select((), default="r1").lane == 1
