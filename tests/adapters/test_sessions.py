"""Where sessions were served last, against a plain list."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailwise.adapters.sessions import Sessions
from tailwise.errors import ConfigError, InputError

NAME = st.text("abc", min_size=1, max_size=2)
ACTION = st.tuples(st.sampled_from(["note", "forget"]), NAME, st.integers(0, 3))


@given(st.integers(1, 6), st.lists(ACTION, max_size=40))
def test_sessions_are_where_a_list_has_them(most: int, actions: list[tuple[str, str, int]]) -> None:
    sessions, plain = Sessions(max_sessions=most), list[tuple[str, int | None]]()
    for action, name, lane in actions:
        if action == "note":
            sessions.note(name, lane)
            plain = [*((n, at) for n, at in plain if n != name), (name, lane)][-most:]
        else:
            sessions.forget(lane)
            plain = [(n, None if at == lane else at) for n, at in plain]
        assert len(sessions) == len(plain) <= most
        for other in ("a", "b", "c", name):
            assert sessions.last(other) == dict(plain).get(other)


def test_a_column_is_one_where_a_session_was_served_last() -> None:
    sessions = Sessions()
    sessions.note("s", 2)
    assert sessions.column("s", 4).tolist() == [0.0, 0.0, 1.0, 0.0]
    sessions.note("s", 0)
    row = sessions.column("s", 2)
    assert sessions.column("t", 2, row) is row
    assert row.tolist() == [0.0, 0.0]
    assert sessions.column(None, 2).tolist() == [0.0, 0.0]
    sessions.note("s", 7)
    assert sessions.column("s", 2).tolist() == [0.0, 0.0]  # a lane that this route's buffer has not


def test_what_is_no_lane_and_no_bound_is_refused() -> None:
    sessions = Sessions()
    for call in (lambda: sessions.note("s", -1), lambda: sessions.forget(-1)):
        with pytest.raises(InputError, match="lane=-1"):
            call()
    assert len(sessions) == 0
    with pytest.raises(ConfigError, match="max_sessions=0"):
        Sessions(max_sessions=0)
