"""Pages of metrics: what each kind of server says, and that no page makes an unknown number a known one."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailwise.adapters.load import FORMATS, read_metrics
from tailwise.errors import InputError, UnknownName
from tests.adapters.load.recorded import RAY, SAID, SGLANG, VLLM

PAGES = st.sampled_from([(name, page) for name, page, _ in SAID])
CHARACTERS = st.characters(codec="utf-8")


@pytest.mark.parametrize(
    ("name", "page", "said"), SAID, ids=[f"{name}{i}" for i, (name, *_) in enumerate(SAID)]
)
def test_each_kind_of_server_is_read_as_it_is(name: str, page: str, said: dict[str, float]) -> None:
    report = read_metrics(page, name)
    assert report.values == pytest.approx(said)
    assert set(report.missing) == set(FORMATS[name].fields) - set(said)
    assert (report.renamed, report.refused) == ({}, {})
    assert read_metrics(page.encode(), FORMATS[name]) == report


def test_an_old_name_is_read_and_told() -> None:
    report = read_metrics(VLLM.replace("kv_cache_usage_perc", "gpu_cache_usage_perc"), "vllm")
    assert report.values["kv"] == 0.61
    assert report.renamed == {"kv": "vllm:gpu_cache_usage_perc"}


def test_an_old_name_beside_the_new_one_is_not_read() -> None:
    report = read_metrics("vllm:gpu_cache_usage_perc 0.9\n" + VLLM, "vllm")
    assert report.values["kv"] == 0.61
    assert report.renamed == {}


def test_a_metric_that_was_renamed_is_missing_by_its_name_and_not_zero() -> None:
    report = read_metrics(VLLM.replace("num_requests_waiting{", "num_requests_queued{"), "vllm")
    assert "waiting" not in report.values
    assert report.missing["waiting"] == "vllm:num_requests_waiting"


def test_a_label_that_is_not_there_is_missing_with_the_label_named() -> None:
    report = read_metrics(VLLM.replace('reason="capacity"', 'reason="memory"'), "vllm")
    assert report.missing["waiting_capacity"] == 'vllm:num_requests_waiting_by_reason{reason="capacity"}'


def test_ranks_that_say_the_same_count_once_and_replicas_add_up() -> None:
    both = SGLANG + 'sglang:num_running_reqs{dp_rank="1",priority="",tp_rank="0"} 5.0\n'
    assert read_metrics(both, "sglang").values["running"] == 19.0


@pytest.mark.parametrize("told", ["NaN", "nan"])
def test_nan_is_unknown(told: str) -> None:
    report = read_metrics(VLLM.replace(" 0.61", f" {told}"), "vllm")
    assert math.isnan(report.values["kv"])
    assert report.refused == {}


def test_a_sum_with_an_unknown_part_is_unknown() -> None:
    assert math.isnan(read_metrics(RAY.replace(" 2\n", " NaN\n"), "vllm").values["running"])


@pytest.mark.parametrize("told", ["-1", "+Inf", "-Inf", "61"])
def test_what_is_no_share_is_unknown_and_told(told: str) -> None:
    """61 is what a server says that came to count in percent."""
    report = read_metrics(VLLM.replace(" 0.61", f" {told}"), "vllm")
    assert math.isnan(report.values["kv"])
    assert "vllm:kv_cache_usage_perc says" in report.refused["kv"]
    assert "0 to 1 is expected" in report.refused["kv"]


@pytest.mark.parametrize(
    ("page", "says"),
    [
        ("", "cut off"),
        ("vllm:num_requests_running 12", "cut off"),
        ("<html><body>404</body></html>\n", "none of its metrics; one of vllm:num_requests_running"),
        ("vllm:num_requests_running twelve\n", "unreadable"),
        ('vllm:num_requests_running{engine="0 12\n', "unreadable"),
        ("vllm:num_requests_running{} 1\n" * 257, "more than 256 series"),
    ],
)
def test_what_is_no_page_is_refused(page: str, says: str) -> None:
    with pytest.raises(InputError, match=re.escape(says)):
        read_metrics(page, "vllm")


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(InputError, match="unreadable"):
        read_metrics(b'vllm:num_requests_running{engine="\xff"} 1\n', "vllm")


def test_an_unknown_format_is_named() -> None:
    with pytest.raises(UnknownName, match=r"'vlm'; there are llama-cpp, .*vllm"):
        read_metrics(VLLM, "vlm")


@given(PAGES, st.integers(0, 2000))
def test_a_page_cut_anywhere_says_nothing_wrong(case: tuple[str, str], at: int) -> None:
    """Cut inside a line it is refused; between lines each number is the whole page's or, of a sum, not more; and what
    is gone is missing."""
    name, page = case
    whole = read_metrics(page, name).values
    try:
        report = read_metrics(page[:at], name)
    except InputError:
        return
    assert page[:at].endswith("\n")
    for field, value in report.values.items():
        assert value <= whole[field] or field == "gpu"
        assert value > 0.0 or whole[field] == 0.0
    assert report.values.keys() | report.missing.keys() == FORMATS[name].fields.keys()


@given(PAGES, st.lists(st.tuples(st.integers(0, 10_000), st.text(CHARACTERS, max_size=6)), max_size=8))
def test_no_garbage_raises_what_is_not_ours_or_makes_a_zero(
    case: tuple[str, str], edits: list[tuple[int, str]]
) -> None:
    """Text written over the page anywhere: refused, or each value is a number >= 0 or unknown; a field of which no
    name is left at the begin of a line has none."""
    name, page = case
    for at, text in edits:
        at %= len(page)
        page = page[:at] + text + page[at + len(text) :]
    try:
        report = read_metrics(page, name)
    except InputError:
        return
    for field, value in report.values.items():
        assert math.isnan(value) or 0.0 <= value <= FORMATS[name].fields[field].most
        assert any(f"\n{metric}" in f"\n{page}" for metric in FORMATS[name].fields[field].names)


@given(PAGES, st.data())
def test_lines_renamed_doubled_shuffled_or_gone_make_no_number_of_their_own(
    case: tuple[str, str], data: st.DataObject
) -> None:
    name, page = case
    whole = read_metrics(page, name)
    lines = page.splitlines()
    kept = data.draw(st.lists(st.sampled_from(lines), max_size=2 * len(lines)))
    new = [line.replace("_", "__", 1) if data.draw(st.booleans()) else line for line in kept]
    try:
        report = read_metrics("\n".join(new) + "\n", name)
    except InputError as error:
        assert "none of its metrics" in str(error)  # noqa: PT017
        return
    for field, value in report.values.items():
        assert value <= whole.values[field] or FORMATS[name].fields[field].over == "mean"
    if set(lines) <= set(new):  # doubled and in another order: the same
        assert report == whole


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_read(raw: bytes) -> None:
    try:
        report = read_metrics(raw, "vllm")
    except InputError:
        return
    assert report.values
