"""The embedded workloads: trained once, kept safely, and checks that can fail."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from tailwise.adapters.cli.workload import load, resolve
from tailwise.adapters.cli.workloads import code, digits, photo
from tailwise.adapters.cli.workloads.cache import folder

MODULES = {"digits": digits, "code": code, "photo": photo}


@pytest.fixture(scope="module")
def accuracies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, float]]:
    """Trains everything once, in a cache of the tests' own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAILWISE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield {f"{name}:{key}": value for name, m in MODULES.items() for key, value in m.prepare().items()}


def test_held_out_accuracy_is_that_of_models_that_learned(accuracies: dict[str, float]) -> None:
    assert accuracies["digits:accurate"] >= 0.98
    assert accuracies["digits:fast"] >= 0.95
    assert accuracies["code:next_character"] >= 0.45


def test_a_second_preparation_trains_nothing_and_tells_the_same(accuracies: dict[str, float]) -> None:
    said: list[str] = []
    again = {f"digits:{key}": value for key, value in digits.prepare(said.append).items()}
    assert said == []
    assert again == {key: value for key, value in accuracies.items() if key.startswith("digits:")}


def test_a_damaged_cache_is_trained_again_with_a_word(
    accuracies: dict[str, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(folder(), tmp_path / folder().name)
    monkeypatch.setenv("TAILWISE_CACHE", str(tmp_path))
    file = folder() / "digits-fast.pt"
    assert file.stat().st_mode & 0o777 == 0o600
    whole = file.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    with torch.inference_mode():
        before = digits.fast()(torch.zeros(1, 1, 8, 8))
    for damaged in (b"", b"no weights", whole[:1000], bytes(flipped)):
        file.write_bytes(damaged)
        said: list[str] = []
        digits.prepare(said.append)
        (line,) = said
        assert "digits-fast" in line
        assert "damaged" in line
        with torch.inference_mode():
            assert torch.equal(digits.fast()(torch.zeros(1, 1, 8, 8)), before)


@pytest.mark.parametrize("spec", load().models, ids=lambda spec: spec.name)
def test_a_model_answers_its_own_requests_and_a_wrong_answer_is_seen(
    accuracies: dict[str, float], spec: object
) -> None:
    """Of 30 answers by the model itself at most 3 may fail their check (single digits err at 2-5%); a zero of
    another shape, a NaN and an answer of None all must."""
    model = resolve(spec.source, "")()  # type: ignore[attr-defined]
    source = resolve(spec.requests, "")()  # type: ignore[attr-defined]
    rng = np.random.default_rng(5)
    right = 0
    for _ in range(30):
        request = source.draw(rng)
        assert len(request.features) == len(spec.features)  # type: ignore[attr-defined]
        assert all(value > 0 for value in request.features)
        with torch.inference_mode():
            answer = model(*request.inputs)
        right += request.check(answer)
        assert not request.check(answer[:, :-1])
        assert not request.check(torch.full_like(answer, float("nan")))
        assert not request.check(None)
    assert right >= 27


@pytest.mark.parametrize("spec", load().models, ids=lambda spec: spec.name)
def test_the_same_seed_draws_the_same_request(accuracies: dict[str, float], spec: object) -> None:
    source = resolve(spec.requests, "")()  # type: ignore[attr-defined]
    first, second = (source.draw(np.random.default_rng(9)) for _ in range(2))
    assert first.features == second.features
    assert all(torch.equal(a, b) for a, b in zip(first.inputs, second.inputs, strict=True))


def test_a_digit_with_the_wrong_label_is_seen(accuracies: dict[str, float]) -> None:
    request = digits.fast_source().draw(np.random.default_rng(1))
    with torch.inference_mode():
        logits = digits.fast()(*request.inputs)
    assert request.check(logits)
    assert not request.check(-logits)


def test_a_fresh_interpreter_loads_the_trained_weights(accuracies: dict[str, float]) -> None:
    program = "from tailwise.adapters.cli.workloads import digits; print(type(digits.accurate()).__name__)"
    out = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120
    )
    assert out.stdout.strip() == type(digits.accurate()).__name__


def test_a_model_asked_for_in_inference_mode_is_trained_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an empty cache the factory has to train, and its caller may have turned gradients off."""
    monkeypatch.setenv("TAILWISE_CACHE", str(tmp_path))
    with torch.inference_mode():
        answer = digits.fast()(torch.zeros(1, 1, 8, 8))
        assert torch.is_inference_mode_enabled()
    assert torch.isfinite(answer).all()


def test_loading_a_model_leaves_torchs_generator_and_threads_alone(accuracies: dict[str, float]) -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    n_threads = torch.get_num_threads()
    for factory in (digits.accurate, digits.fast, code.next_character, photo.features):
        factory()
    assert torch.equal(torch.rand(4), expected)
    assert torch.get_num_threads() == n_threads
