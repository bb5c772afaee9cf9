"""`engine.own_queue` while jobs are queued: they stand in lines by priority from then on."""

from itertools import permutations

import tailwise as tw


def test_jobs_that_were_queued_before_their_queue_was_owned_start_and_leave_in_any_order() -> None:
    for order in permutations(range(3)):
        engine = tw.Engine(
            [tw.Resource("one")],
            [tw.Model("m")],
            [tw.QoS("first", 1.0), tw.QoS("second", 1.0, priority=1)],
            clock=tw.ManualClock(1.0),
        )
        first, second = (engine.route("m", name) for name in ("first", "second"))
        running = first.select(())
        queued = [route.select(()) for route in (second, first, second)]
        engine.own_queue("one")
        running.complete(0.01)
        queued.append(first.select(()))  # a newcomer among them
        for i in (*order, 3):
            queued[i].start()
            assert engine.load("one") == (1, len([t for t in queued if not t.settled]) - 1)
            queued[i].complete(0.01)
        assert engine.load("one") == (0, 0)
