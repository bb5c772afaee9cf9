"""Families in a run: who may run what, what a fixed choice takes, and that tailwise chooses per job."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tailwise.adapters.cli.app import app
from tailwise.adapters.cli.calibrate import Calibration
from tailwise.adapters.cli.results import accuracy_words
from tailwise.adapters.cli.variants import accuracies, allowed, fixed_choice, prepared
from tailwise.adapters.cli.workload import load
from tailwise.adapters.cli.workloads.measured import Measured
from tailwise.errors import ConfigError
from tests.adapters.cli.synthetic import CLASSES, MODEL, block, record, result

WORKLOAD = """
[arrivals]
load = 0.3
block_s = 1.0
[[qos]]
name = "soon"
deadline_s = 5.0
[[qos]]
name = "exact"
deadline_s = 20.0
priority = 1
min_accuracy = 0.85
[[qos]]
name = "best"
deadline_s = 20.0
priority = 2
objective = "accuracy"
[[resource]]
name = "thread"
worker = "thread"
[[resource]]
name = "process"
[[model]]
name = "small"
variant_of = "net"
accuracy = 0.8
source = "two_sizes:small"
inputs = [[64, 64]]
[[model]]
name = "middle"
variant_of = "net"
source = "two_sizes:middle"
prepare = "two_sizes:prepare"
inputs = [[64, 64]]
[[model]]
name = "large"
variant_of = "net"
accuracy = 0.95
source = "two_sizes:large"
inputs = [[64, 64]]
[[mix]]
model = "net"
qos = "soon"
[[mix]]
model = "net"
qos = "exact"
[[mix]]
model = "net"
qos = "best"
"""

MODELS = """
import torch

def work(n):
    w = torch.ones(n, n)
    return lambda x: (w @ w @ w @ w)[:64, :64] * x

def small():
    return work(250)

def middle():
    return work(500)

def large():
    return work(700)

def prepare(progress):
    progress("measuring")
    return {"middle": 0.9}
"""


@pytest.fixture
def workload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "two_sizes.py").write_text(MODELS)
    path = tmp_path / "w.toml"
    path.write_text(WORKLOAD)
    return path


def test_a_class_gets_variants_that_are_accurate_enough_and_the_field_one_of_them(workload: Path) -> None:
    """The middle one's accuracy is measured, the others' is given; it is also the fastest here, so the fixed choice
    for "soon" is not simply the least accurate."""
    loaded = load(workload)
    accuracy = accuracies(loaded, prepared(loaded, lambda _: None))
    assert accuracy == {"small": 0.8, "middle": 0.9, "large": 0.95}
    may = allowed(loaded, accuracy)
    assert may["net", "exact"] == ("middle", "large")
    assert may["net", "soon"] == ("small", "middle", "large")
    calibration = Calibration(np.array([[3.0, 1.0, 4.0], [4.0, 1.0, 4.0]]), 1.0, 1.0)
    fixed = fixed_choice(loaded, may, accuracy, calibration)
    assert fixed == {("net", "soon"): "middle", ("net", "exact"): "middle", ("net", "best"): "large"}


def test_a_class_that_nothing_is_accurate_enough_for_is_named_before_the_run(workload: Path) -> None:
    workload.write_text(WORKLOAD.replace("min_accuracy = 0.85", "min_accuracy = 0.96"))
    loaded = load(workload)
    with pytest.raises(ConfigError, match=r"'exact': min_accuracy=0\.96 .* large 0\.95"):
        allowed(loaded, accuracies(loaded, {"middle": Measured(0.9)}))


def test_a_share_that_is_no_accuracy_bounds_nothing(workload: Path) -> None:
    measured = {"middle": Measured(0.9, "agreement with large")}
    assert "middle" not in accuracies(load(workload), measured)
    told = MODEL | {"given": True, "accuracy": 0.75, "measured": 0.5, "measured_of": "agreement with large"}
    assert accuracy_words(told) == "0.750 given, 0.500 agreement with large"


def test_a_run_chooses_a_variant_for_each_job_and_the_field_keeps_to_one(
    workload: Path, tmp_path: Path
) -> None:
    figures, page = tmp_path / "out.json", tmp_path / "out.html"
    arguments = ["run", str(workload), "--seconds", "2", "--json", str(figures), "--report", str(page)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "Variants chosen" in done.output
    assert "Variants chosen" in page.read_text()
    data = json.loads(figures.read_text())
    for policy, families in data["variants"].items():
        for qos, found in families["net"].items():
            assert sum(found["chosen"].values()) == found["offered"]
            if qos == "exact":
                assert found["chosen"]["small"] == 0
                assert found["accuracy"] >= 0.85
            if policy != "tailwise":
                assert max(found["chosen"].values()) == found["offered"]
        assert families["net"]["best"]["chosen"]["large"] > 0
    assert all(p["wrong"] == 0 for p in data["policies"].values())


def test_variants_are_counted_by_class_and_weighed_by_what_was_on_time() -> None:
    made = result(policies=("tailwise",), rounds=0)
    made.models = [
        MODEL | {"name": n, "variant_of": "net", "accuracy": a} for n, a in (("a", 0.5), ("b", 0.9))
    ]
    urgent, batch = CLASSES
    jobs = [record(urgent, model="a"), record(urgent, model="b"), record(urgent, model="b", end="expired")]
    made.blocks.append(block("tailwise", [*jobs, record(batch, model="other")]))
    found = made.variants()["tailwise"]["net"]
    assert list(found) == ["interactive"]
    assert found["interactive"].chosen == {"a": 1, "b": 2}
    assert found["interactive"].accuracy == pytest.approx(0.7)
