"""Formats as data: the package's own, and those that users write."""

from __future__ import annotations

import tomllib

import pytest

from tailwise.adapters.load import FORMATS, Field, formats_of, read_metrics
from tailwise.errors import ConfigError

MINE = """
[format.mine.running]
metrics = ["active_sequences"]
where = { queue = "gpu" }

[format.mine.kv]
metrics = ["kv_percent"]
scale = 0.01
over = "max"
most = 1
"""


def test_a_format_of_the_users_own_is_read_like_any_other() -> None:
    (mine,) = formats_of(tomllib.loads(MINE)["format"]).values()
    page = 'active_sequences{queue="gpu"} 4\nactive_sequences{queue="cpu"} 9\n'
    page += 'kv_percent{g="0"} 20\nkv_percent{g="1"} 50\n'
    assert read_metrics(page, mine).values == {"running": 4.0, "kv": 0.5}


def test_every_format_of_a_server_tells_who_waits() -> None:
    assert all("waiting" in form.fields for form in FORMATS.values())


def test_no_metric_tells_two_fields_of_a_format() -> None:
    for form in FORMATS.values():
        told = [(name, *field.where.items()) for field in form.fields.values() for name in field.names]
        assert len(told) == len(set(told))


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"f": 1}, "format 'f': fields=1"),
        ({"f": {}}, "at least one field"),
        ({"f": {"kv": {}}}, "format 'f', field 'kv': .* a table with metrics"),
        (
            {"f": {"kv": {"metrics": ["a"], "wheer": {}}}},
            "a table with metrics and, where wanted, copies, most",
        ),
        ({"f": {"kv": {"metrics": []}}}, "at least one name"),
        ({"f": {"kv": {"metrics": "a"}}}, "a list of names"),
        ({"f": {"kv": {"metrics": [""]}}}, "a list of names"),
        ({"f": {"kv": {"metrics": ["a"], "where": {"b": 1}}}}, "a table of labels"),
        ({"f": {"kv": {"metrics": ["a"], "over": "min"}}}, "'sum', 'mean' or 'max'"),
        ({"f": {"kv": {"metrics": ["a"], "scale": 0}}}, "scale=0"),
        ({"f": {"kv": {"metrics": ["a"], "most": "1"}}}, "most='1'"),
        ({"f": {"k v": {"metrics": ["a"]}}}, "an identifier"),
    ],
)
def test_a_wrong_table_is_refused_where_it_is_wrong(table: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        formats_of(table)


def test_a_format_is_fixed() -> None:
    field = Field("kv", ("a",), where={"b": "c"})
    with pytest.raises(TypeError):
        field.where["b"] = "d"  # type: ignore[index]
    with pytest.raises(TypeError):
        FORMATS["vllm"].fields["kv"] = field  # type: ignore[index]
