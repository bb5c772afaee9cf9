"""Moments at which something is to be looked at again."""

import gc
import weakref

from hypothesis import given
from hypothesis import strategies as st

from tailwise.timers import Timers


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("set"), st.integers(0, 50)),
            st.tuples(st.just("stop"), st.integers(0, 50)),
            st.tuples(st.just("tick"), st.integers(0, 10)),
        ),
        max_size=80,
    )
)
def test_each_timer_comes_due_once_at_its_moment_unless_it_was_stopped(
    actions: list[tuple[str, int]],
) -> None:
    timers: Timers[int] = Timers()
    handles: list[int] = []
    waiting: dict[int, int] = {}  # item -> its moment
    now = 0
    for action, k in actions:
        if action == "set":
            waiting[len(handles)] = now + k
            handles.append(timers.set(len(handles), now + k))
        elif action == "stop" and k < len(handles):
            timers.stop(handles[k])
            waiting.pop(k, None)
        elif action == "tick":
            now += k
            came = []
            while (item := timers.pop(now)) is not None:
                came.append(item)
            due = sorted((at, item) for item, at in waiting.items() if at <= now)
            assert came == [item for _, item in due]
            for item in came:
                del waiting[item]
        assert len(timers) == len(waiting)
        assert timers.next_ns() == min(waiting.values(), default=None)


def test_a_stopped_timer_lets_its_item_go_and_does_not_pile_up() -> None:
    class Item:
        pass

    timers: Timers[Item] = Timers()
    timers.set(Item(), 0)
    items = []
    for _ in range(1000):
        item = Item()
        items.append(weakref.ref(item))
        timers.stop(timers.set(item, 10**12))
        del item
    gc.collect()
    assert not any(ref() for ref in items)
    assert len(timers._heap) < 100
