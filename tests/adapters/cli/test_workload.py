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
        (
            "deadline_services = 4.0",
            "deadline_services = 4.0\nmin_accuracy = 2",
            r"w\.toml: \[\[qos\]\].*min_accuracy",
        ),
        (
            "deadline_services = 4.0",
            'deadline_services = 4.0\nobjective = "money"',
            r"w\.toml.*objective='money'",
        ),
        ('name = "m"', 'name = "m"\naccuracy = 1.5', r"w\.toml: \[\[model\]\].*accuracy"),
        ('name = "m"', 'name = "m"\nitems = "batch"', r"w\.toml: \[\[model\]\].*items"),
        ('name = "m"', 'name = "m"\nmax_items = 8', r"w\.toml: \[\[model\]\].*items"),
        ('name = "m"', 'name = "m"\nmax_items = 0', r"w\.toml: \[\[model\]\].*max_items"),
        ('name = "m"', 'name = "m"\nvariant_of = "m"', r"w\.toml.*variant_of='m' is a model's name"),
        (
            "inputs = [[1, 4]]",
            'inputs = [[1, 4]]\nfeature = [{name = "b", typical = -1}]',
            r"w\.toml.*typical",
        ),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, old: str, new: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        load(write(tmp_path, GOOD.replace(old, new)))


def test_variants_of_a_family_are_asked_the_same(tmp_path: Path) -> None:
    second = (
        '[[model]]\nname = "n"\nvariant_of = "f"\nsource = "torch.nn:Identity"\ninputs = [[2, 4]]\n[[mix]]'
    )
    text = GOOD.replace('name = "m"\n', 'name = "m"\nvariant_of = "f"\n').replace(
        'model = "m"', 'model = "f"'
    )
    assert load(write(tmp_path, text)).runners("f")[0].name == "m"
    with pytest.raises(ConfigError, match=r"'n': inputs differs from that of 'm'"):
        load(write(tmp_path, text.replace("[[mix]]", second)))


def test_a_variant_is_asked_for_by_the_name_of_its_family(tmp_path: Path) -> None:
    text = GOOD.replace('name = "m"\n', 'name = "m"\nvariant_of = "f"\n')
    with pytest.raises(UnknownName, match="family"):
        load(write(tmp_path, text))


@pytest.mark.parametrize("name", ["default.toml", "variants.toml", "vision.toml", "text.toml"])
def test_a_shipped_workload_is_found_by_its_bare_name_and_its_paths_resolve(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their packages are imported when they are prepared, not before: the paths resolve without them."""
    monkeypatch.chdir(tmp_path)
    workload = load(Path(name))
    for spec in workload.models:
        for path in (spec.source, spec.requests, spec.prepare):
            assert path is not None
            assert callable(resolve(path, name))
    with pytest.raises(ConfigError, match="No such file"):
        load(Path("elsewhere") / name)


def test_a_file_here_comes_before_a_shipped_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vision.toml").write_text(GOOD)
    assert [m.name for m in load(Path("vision.toml")).models] == ["m"]


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
