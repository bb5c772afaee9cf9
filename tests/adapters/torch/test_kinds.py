"""One network in several kinds: what each loses is measured on a validation set."""

import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

import tailwise as tw
from tailwise.adapters.torch import Executor, Process, Thread
from tailwise.adapters.torch.variants import Kind, compiled, in_bfloat16, in_int8, variants

BASE = tw.Model("net", features=("rows",), items="rows")


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 4)).eval()


@pytest.fixture(scope="module")
def validation(network: nn.Module) -> list[tuple[tuple[torch.Tensor, ...], torch.Tensor]]:
    """What the network says of rows near the borders between its classes; a tenth of the labels are turned."""
    rows = torch.randn(40, 50, 16)
    labels = network(rows).argmax(-1)
    labels[:, ::10] = (labels[:, ::10] + 1) % 4
    return [((x,), y) for x, y in zip(rows, labels, strict=True)]


def test_each_kind_is_a_variant_with_its_measured_accuracy(
    network: nn.Module, validation: list[tuple[tuple[torch.Tensor, ...], torch.Tensor]]
) -> None:
    made = variants(BASE, network, ("fp32", "bf16", "int8"), validation)
    assert [v.model.name for v in made] == ["net-fp32", "net-bf16", "net-int8"]
    assert {v.model.variant_of for v in made} == {"net"}
    assert made[0].model.accuracy == pytest.approx(0.9)
    for variant in made[1:]:
        right = [float((variant.source(*x).argmax(-1) == y).float().mean()) for x, y in validation]
        assert variant.model.accuracy == pytest.approx(sum(right) / len(right))
        assert 0.85 < variant.model.accuracy < 0.9005
    assert made[1].model.memory_bytes == made[0].model.memory_bytes // 2


def test_fewer_bits_change_the_answers_a_little_and_leave_the_network_alone(network: nn.Module) -> None:
    x = torch.randn(8, 16)
    before = network(x).detach()
    for less in (in_bfloat16(network), in_int8(network)):
        answer = less(x).detach()
        assert answer.dtype == torch.float32
        assert 0.0 < float((answer - before).abs().max()) < 0.1
    assert torch.equal(network(x), before)


def test_an_executor_serves_them_as_one_family(
    network: nn.Module, validation: list[tuple[tuple[torch.Tensor, ...], torch.Tensor]]
) -> None:
    made = variants(BASE, network, ("fp32", "bf16"), validation)
    accuracies = {v.model.name: v.model.accuracy or 0.0 for v in made}
    engine = tw.Engine(
        [tw.Resource("a"), tw.Resource("b")],
        [v.model for v in made],
        [tw.QoS("any", 60.0), tw.QoS("best", 60.0, objective="accuracy")],
    )
    sources = {v.model.name: v.source for v in made}
    with Executor(engine, sources, {"a": Thread(), "b": Process()}, features={"net": lambda x: (8.0,)}) as ex:
        for qos in ("any", "best") * 6:
            future = ex.submit("net", qos, torch.randn(8, 16))
            assert future.result(60).shape == (8, 4)
        assert future.record is not None
        assert future.record.model == max(accuracies, key=accuracies.__getitem__)


@pytest.mark.parametrize(
    ("kinds", "some", "message"),
    [(("fp64",), True, "kind='fp64'"), (("fp32",), False, "validation is empty")],
)
def test_what_cannot_be_made_is_said(
    network: nn.Module,
    validation: list[tuple[tuple[torch.Tensor, ...], torch.Tensor]],
    kinds: tuple[Kind, ...],
    some: bool,
    message: str,
) -> None:
    with pytest.raises(tw.ConfigError, match=message):
        variants(BASE, network, kinds, validation if some else [])


@pytest.mark.long
@pytest.mark.parametrize("graphs", [False, True])
def test_a_compiled_model_answers_as_before_and_can_be_sent(
    network: nn.Module, graphs: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    fast = compiled(network, graphs=graphs)
    for n in (3, 8):
        x = torch.randn(n, 16)
        assert torch.allclose(fast(x), network(x), atol=1e-5)
    sent = pickle.loads(pickle.dumps(fast))
    assert torch.allclose(sent(x), network(x), atol=1e-5)
