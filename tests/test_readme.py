"""What the README shows is run."""

import re
from pathlib import Path

import pytest

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_embedding_example_runs_and_teaches_a_profile() -> None:
    scope: dict[str, object] = {}
    exec(BLOCKS[0], scope)
    engine = scope["engine"]
    assert engine.in_flight == 0  # type: ignore[attr-defined]
    assert sum(engine.profile(r, "resnet50").n for r in ("cuda:0", "cpu")) == 1.0  # type: ignore[attr-defined]


def test_the_executor_example_runs_on_cpu_devices() -> None:
    """The README names a GPU and a module of the reader's; here both stand on what every machine has."""
    torch = pytest.importorskip("torch")
    scope: dict[str, object] = {}
    exec(BLOCKS[0], scope)
    scope["images"] = torch.ones(8, 3, 4, 4)
    program = (
        BLOCKS[1]
        .replace('Thread("cuda:0")', 'Thread("cpu")')
        .replace("mypackage.models:resnet50", "torch.nn:Identity")
    )
    exec(program, scope)
    assert torch.equal(scope["logits"], torch.ones(8, 3, 4, 4))  # type: ignore[arg-type]


def test_the_example_of_jobs_that_tailwise_runs_runs() -> None:
    pytest.importorskip("torch")
    scope: dict[str, object] = {}
    exec(BLOCKS[2], scope)
    answers, exact = scope["answers"], scope["exact"]
    assert [tuple(answer.shape) for answer in answers] == [(4, 10)] * 50  # type: ignore[attr-defined]
    assert exact.record.model == "large"  # type: ignore[attr-defined]
    assert scope["executor"].stats().n_open == 0  # type: ignore[attr-defined]


def test_the_language_model_example_runs_and_teaches_both_signals() -> None:
    scope: dict[str, object] = {}
    exec(BLOCKS[3], scope)
    engine = scope["engine"]
    assert engine.in_flight == 0  # type: ignore[attr-defined]
    assert engine.length("llama-70b").n == 1.0  # type: ignore[attr-defined]
