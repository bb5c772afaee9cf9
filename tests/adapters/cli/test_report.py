"""The page: well-formed, self-contained, escaped, and drawn from whatever a run left."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tailwise.adapters.cli.report import write_report
from tailwise.adapters.cli.results import RunResult
from tailwise.errors import MissingExtra
from tailwise.qos import QoS
from tests.adapters.cli.synthetic import CLASSES, MODEL, block, record, result
from tests.pages import balanced, outside


def page(run: RunResult, tmp_path: Path) -> str:
    path = tmp_path / "page.html"
    write_report(run, path)
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of an ordinary run."""
    return page(result(), tmp_path_factory.mktemp("page"))


def test_the_page_is_balanced_and_holds_all_six_plots(text: str) -> None:
    parser = balanced(text)
    assert parser.seen.count("svg") == parser.seen.count("figcaption") == 6


def test_the_page_needs_nothing_from_outside(text: str) -> None:
    assert outside(text) == []


def test_ids_are_unique_and_every_reference_is_met(text: str) -> None:
    parser = balanced(text)
    assert len(parser.ids) == len(set(parser.ids))
    assert parser.references
    assert parser.references <= set(parser.ids)


def test_the_tables_show_the_figures_of_the_run(text: str) -> None:
    run = result()
    for f in run.figures().values():
        assert f"<td>{f.weighted_goodput:.3f}</td>" in text
        for c in f.classes.values():
            ends = "".join(f"<td>{n}</td>" for n in (c.late, c.expired, c.rejected, c.failed))
            assert f"<td>{c.offered}</td><td>{c.on_time / c.offered:.1%}</td>{ends}" in text
    d = run.differences()["round_robin"]
    assert f"<td>{d.mean:+.3f} ± {d.standard_error:.3f}</td>" in text


def test_a_difference_of_one_round_has_no_error_and_nothing_is_printed_as_nan(tmp_path: Path) -> None:
    run = result(rounds=1)
    text = page(run, tmp_path)
    assert f"<td>{run.differences()['round_robin'].mean:+.3f}</td>" in text
    assert "nan" not in page(no_jobs(), tmp_path).lower()


def test_every_name_is_escaped(tmp_path: Path) -> None:
    run = result(rounds=0)
    run.qos = (QoS("<b>class", deadline_s=1.0, priority=0),)
    run.resources = [{"name": "<b>cpu", "slots": 2}]
    run.models = [MODEL | {"name": "<b>model", "services_s": {"<b>cpu": 0.01}}]
    run.machine = {key: f"<b>{key}" for key in run.machine}
    run.blocks.append(block("tailwise", [record(run.qos[0], model="<b>model")]))
    run.blocks.append(block("<b>policy", [record(run.qos[0], model="<b>model")]))
    text = page(run, tmp_path)
    assert "<b>" not in text
    for name in ("class", "cpu", "model", "policy", *run.machine):
        assert f"&lt;b&gt;{name}" in text


def test_the_same_result_gives_the_same_bytes(text: str, tmp_path: Path) -> None:
    assert page(result(), tmp_path) == text


def test_without_matplotlib_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for module in [name for name in sys.modules if name.startswith("matplotlib.")]:
        monkeypatch.delitem(sys.modules, module)
    for module in ("canvas", "claims", "plots", "report"):
        monkeypatch.delitem(sys.modules, f"tailwise.adapters.cli.{module}")
        # the import statement takes an attribute of the package before it looks for the module
        monkeypatch.delattr(f"tailwise.adapters.cli.{module}")
    with pytest.raises(MissingExtra, match=r"tailwise\[cli\]"):
        importlib.import_module("tailwise.adapters.cli.report")


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


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("make", [no_blocks, one_policy, no_jobs, nothing_completed])
def test_a_poor_run_still_gives_a_page(make: Callable[[], RunResult], tmp_path: Path) -> None:
    assert not balanced(page(make(), tmp_path)).open
