"""Workload files: what is wrong is named with its table and key."""

from pathlib import Path

import numpy as np
import pytest

from tailwise.adapters.cli.calibrate import capacity_per_s
from tailwise.adapters.cli.workload import ResourceSpec, load, resolve
from tailwise.errors import ConfigError, UnknownName

GOOD = """
[[qos]]
name = "q"
deadline_services = 4.0
[[resource]]
name = "r"
[[model]]
name = "m"
source = "torch.nn:Identity"
inputs = [[1, 4]]
[[mix]]
model = "m"
qos = "q"
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "w.toml"
    path.write_text(text)
    return path


def test_the_embedded_workload_is_valid_and_its_paths_resolve() -> None:
    workload = load()
    assert [q.name for q in workload.qos] == ["interactive", "standard", "batch"]
    for spec in workload.models:
        assert callable(resolve(spec.source, "source"))
        assert spec.requests is not None
        assert callable(resolve(spec.requests, "requests"))
        assert spec.prepare is not None
        assert callable(resolve(spec.prepare, "prepare"))


def test_a_relative_deadline_is_a_multiple_of_the_mean_service(tmp_path: Path) -> None:
    workload = load(write(tmp_path, GOOD))
    assert workload.qos[0].resolve(0.02).deadline_s == pytest.approx(0.08)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        (
            "deadline_services = 4.0",
            "deadline_services = 4.0\ndeadline_s = 1.0",
            "deadline_s or deadline_services",
        ),
        ("deadline_services = 4.0", "deadline_services = -4.0", "deadline_s"),
        ("deadline_services = 4.0", "dedline = 1", "dedline"),
        ('name = "r"', 'name = "r"\ncolour = 1', "colour"),
        ("inputs = [[1, 4]]", "", "requests"),
        ('source = "torch.nn:Identity"', 'source = "missing.pt"', r"missing\.pt"),
        ('qos = "q"', 'qos = "q"\nshare = 0', "share"),
        ("[[qos]]", "[arrivals]\nload = 0\n[[qos]]", "load"),
        ("[[qos]]", "[extra]\n[[qos]]", "extra"),
        ("[[mix]]", "[[mixture]]", "mix"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, old: str, new: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        load(write(tmp_path, GOOD.replace(old, new)))


def test_an_undeclared_name_in_the_mix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="other"):
        load(write(tmp_path, GOOD.replace('model = "m"', 'model = "other"')))


@pytest.mark.parametrize("text", ["not toml [", "\x00"])
def test_a_file_that_is_not_toml_is_refused_by_name(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"w\.toml"):
        load(write(tmp_path, text))


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml"):
        load(tmp_path / "none.toml")


@pytest.mark.parametrize("path", ["no_such_module:x", "math:no_such_name"])
def test_an_import_path_that_leads_nowhere_says_which_part(path: str) -> None:
    with pytest.raises(ConfigError, match="no_such"):
        resolve(path, "here")


def test_a_resource_for_another_machine_is_left_out() -> None:
    assert ResourceSpec("r").here()
    assert ResourceSpec("r", machine="x86_64").here() != ResourceSpec("r", machine="!x86_64").here()


def test_capacity_uses_each_resource_for_what_it_is_relatively_best_at() -> None:
    """Two resources, two models in equal parts: (1, 3) and (1, 1) seconds. Model 1 goes to the second resource,
    which gives 2 jobs a second; dividing both models evenly would give less."""
    services_s = np.array([[1.0, 3.0], [1.0, 1.0]])
    assert capacity_per_s(services_s, np.array([0.5, 0.5]), np.array([1.0, 1.0])) == pytest.approx(2.0)
    assert capacity_per_s(services_s, np.array([1.0, 0.0]), np.array([2.0, 1.0])) == pytest.approx(3.0)
