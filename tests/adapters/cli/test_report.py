"""The page: well-formed, self-contained, escaped, and drawn from whatever a run left."""

import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tailwise.adapters.cli.report import write_report
from tailwise.adapters.cli.results import RunResult
from tests.adapters.cli.synthetic import CLASSES, block, record, result

VOID = {"meta"}


class Balance(HTMLParser):
    """Raises on a tag that is closed in the wrong place."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def page(run: RunResult, tmp_path: Path) -> str:
    path = tmp_path / "page.html"
    write_report(run, path)
    return path.read_text(encoding="utf-8")


def test_the_page_is_balanced_and_holds_all_six_plots(tmp_path: Path) -> None:
    text = page(result(), tmp_path)
    parser = Balance()
    parser.feed(text)
    assert parser.open == []
    assert parser.seen.count("svg") == 6
    for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        ElementTree.fromstring(svg)


def test_the_page_needs_nothing_from_outside(tmp_path: Path) -> None:
    text = page(result(), tmp_path)
    assert "<script" not in text
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!#)""", text)
    assert not re.search(r"url\((?!#)|@import", text)


def test_names_are_escaped(tmp_path: Path) -> None:
    text = page(result(policies=("tailwise", "<b>rr</b>")), tmp_path)
    assert "<b>" not in text
    assert "&lt;b&gt;rr&lt;/b&gt;" in text
    assert "m&lt;1&gt;" in text


def test_the_same_result_gives_the_same_bytes(tmp_path: Path) -> None:
    assert page(result(), tmp_path) == page(result(), tmp_path)


def no_blocks() -> RunResult:
    return result(rounds=0)


def one_policy() -> RunResult:
    return result(policies=("round_robin",), rounds=1)


def no_jobs() -> RunResult:
    return result(jobs=0, rounds=1)


def nothing_completed() -> RunResult:
    run = result(rounds=0)
    run.blocks.append(block("tailwise", [record(q, end="expired") for q in CLASSES]))
    run.interrupted = True
    return run


@pytest.mark.parametrize("make", [no_blocks, one_policy, no_jobs, nothing_completed])
def test_a_poor_run_still_gives_a_page(make: "type[RunResult]", tmp_path: Path) -> None:
    parser = Balance()
    parser.feed(page(make(), tmp_path))
    assert parser.open == []
