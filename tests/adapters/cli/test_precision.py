"""Models in fewer bits compute nearly the same, and what is measured of them is measured once."""

from pathlib import Path

import pytest
import torch
from torch import nn

from tailwise.adapters.cli.workloads import code, digits, precision
from tailwise.adapters.cli.workloads.cache import folder, remembered
from tailwise.adapters.torch.variants import in_bfloat16, in_int8


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(32, 64), nn.Tanh(), nn.Linear(64, 4)).eval()


@pytest.mark.parametrize("convert", [in_bfloat16, in_int8])
def test_a_copy_in_fewer_bits_gives_nearly_the_same_and_leaves_the_original_alone(convert: object) -> None:
    """bfloat16 keeps 8 bits of each number and int8 seven and a sign: errors of 2^-8 of the largest activation (1)
    and weight add up over 64 terms like a random walk, 8 x 2^-7 at most here; being the same would be no copy."""
    model, x = network(), torch.rand(16, 32)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    copy = convert(model)  # type: ignore[operator]
    with torch.inference_mode():
        answer, exact = copy(x), model(x)
    assert answer.dtype == torch.float32
    assert 0.0 < float((answer - exact).abs().max()) < 8 * 2**-7
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_whole_numbers_reach_a_model_in_bfloat16_as_they_are() -> None:
    model = nn.Embedding(1000, 3)
    with torch.inference_mode():
        rows = in_bfloat16(model)(torch.tensor([999, 257]))
    assert torch.allclose(rows, model.weight[[999, 257]], rtol=2**-8)


def test_a_figure_is_measured_once_and_again_where_its_file_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAILWISE_CACHE", str(tmp_path))
    said: list[str] = []
    values = iter([0.25, 0.5, 0.75])
    assert remembered("figure", lambda: next(values), said.append) == 0.25
    assert remembered("figure", lambda: next(values), said.append) == 0.25
    (file,) = folder().iterdir()
    file.write_text("no number")
    assert remembered("figure", lambda: next(values), said.append) == 0.5
    assert len(said) == 2
    monkeypatch.setenv("TAILWISE_CACHE", str(file))  # no folder: nothing can be kept
    assert remembered("figure", lambda: next(values)) == 0.75


@pytest.mark.long
def test_fewer_bits_cost_the_embedded_models_next_to_no_accuracy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most a point: 450 digits and 138,000 characters are decided by larger margins than the last bits."""
    monkeypatch.setenv("TAILWISE_CACHE", str(tmp_path))
    found = precision.prepare()
    full = {"accurate": digits.prepare()["accurate"], "next_character": code.prepare()["next_character"]}
    assert set(found) == {"accurate_bf16", "next_character_bf16", "next_character_int8"}
    for name, value in found.items():
        assert value == pytest.approx(full[name.rpartition("_")[0]], abs=0.01)
