"""ORCA: what the headers of a response say of the load."""

from __future__ import annotations

import math

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailwise.adapters.load import read_orca
from tailwise.errors import InputError

NAME = "endpoint-load-metrics"

#: As vLLM (both its servers), Triton and Envoy write them.
SAID = [
    (
        "TEXT named_metrics.kv_cache_usage_perc=0.4, named_metrics.num_requests_waiting=3.0",
        {"kv": 0.4, "waiting": 3},
    ),
    ("named_metrics.kv_cache_usage_perc=0.4,named_metrics.num_requests_waiting=3", {"kv": 0.4, "waiting": 3}),
    (
        'JSON {"named_metrics": {"kv_cache_usage_perc": 0.4, "num_requests_waiting": 3}}',
        {"kv": 0.4, "waiting": 3},
    ),
    ('{"named_metrics":{"kv_cache_usage_perc":0.4,"num_requests_waiting":3}}', {"kv": 0.4, "waiting": 3}),
    ("TEXT named_metrics.kv_cache_utilization=0.98, named_metrics.max_token_capacity=1024", {"kv": 0.98}),
    (
        "TEXT cpu_utilization=0.3, mem_utilization=0.8, rps_fractional=10.0, eps=1, named_metrics.other=0.4",
        {"cpu": 0.3, "memory": 0.8, "requests_per_s": 10, "errors_per_s": 1},
    ),
    ("TEXT cpu_utilization:0.7,application_utilization:0.8", {"cpu": 0.7, "utilization": 0.8}),
    ('JSON {"cpu_utilization": 0.3, "named_metrics": {}}', {"cpu": 0.3}),
    ("TEXT ", {}),
    ("TEXT", {}),
]


@pytest.mark.parametrize(("told", "values"), SAID)
@pytest.mark.parametrize("name", [NAME, "Endpoint-Load-Metrics"])
def test_a_header_is_read_as_servers_write_it(name: str, told: str, values: dict[str, float]) -> None:
    for headers in ({name: told}, httpx2.Headers({name: told})):
        report = read_orca(headers)
        assert report is not None
        assert report.values == pytest.approx(values)


def test_a_response_that_says_nothing_is_none() -> None:
    assert read_orca({}) is None
    assert read_orca(httpx2.Headers({"content-type": "application/json"})) is None


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ("TEXT named_metrics.num_requests_waiting", "key=number is expected"),
        ("TEXT named_metrics.num_requests_waiting=", "key=number is expected"),
        ("TEXT eps=many", "key=number is expected"),
        ("TEXT eps=1, eps=2", "'eps' is told twice"),
        ("JSON", "no JSON"),
        ("JSON {", "no JSON"),
        ("JSON []", "an object is expected"),
        ('JSON {"eps": "1"}', "a number is expected"),
        ('JSON {"eps": true}', "a number is expected"),
        ('JSON {"eps": 1, "eps": 2}', "told twice"),
        ('JSON {"named_metrics": {"a": null}}', "a number is expected"),
        ('JSON {"named_metrics.a": 1, "named_metrics": {"a": 2}}', "told twice"),
        ("JSON " + "[" * 4000, "no JSON"),
        ("BIN CZqZmZmZmbk/", "TEXT or JSON is expected"),
        ("TEXT " + "x" * 5000, "at most 4096"),
    ],
)
def test_what_is_no_report_is_refused(told: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_orca({NAME: told})


def test_nan_is_unknown_and_what_is_no_share_is_refused() -> None:
    report = read_orca(
        {NAME: "TEXT named_metrics.num_requests_waiting=nan, named_metrics.kv_cache_usage_perc=40"}
    )
    assert report is not None
    assert math.isnan(report.values["waiting"])
    assert math.isnan(report.values["kv"])
    assert set(report.refused) == {"kv"}


HEADERS = st.one_of(st.text(max_size=80), st.sampled_from([told for told, _ in SAID]))


@given(HEADERS, st.integers(0, 200), st.text(max_size=5))
def test_no_header_raises_what_is_not_ours_or_makes_a_zero(told: str, at: int, text: str) -> None:
    """Cut, and written over, anywhere."""
    for header in (told[:at], told[:at] + text + told[at + len(text) :]):
        try:
            report = read_orca({NAME: header})
        except InputError:
            continue
        assert report is not None
        for field, value in report.values.items():
            assert math.isnan(value) or value >= 0.0
            assert value != 0.0 or "0" in header, field
