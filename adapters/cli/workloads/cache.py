"""Trained weights, kept in the user's cache folder so that only the first run trains."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

__all__ = ["Progress", "Recipe", "accuracy_of", "folder", "obtain", "remembered"]

#: Takes one line for the user about what goes on.
Progress = Callable[[str], None]

#: Names the folder. Raise it with any change to an architecture, its data, its training or the files.
_VERSION = "3"
_SEED = 20_260
_DIGEST_BYTES = hashlib.sha256().digest_size  # a file is the digest of its rest, then what torch.save wrote
#: One thread sums in one order, so that the seed decides; and where other work runs, two wait for each other
#: at every layer: the training took six to twenty times as long on two busy cores.
_N_THREADS = 1


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one model comes to be.

    name: the file's stem in the cache, and what messages call the model.
    build: the untrained module; may draw its weights from torch's global generator.
    train: trains the module in place and returns its held-out accuracy in [0, 1].
    """

    name: str
    build: Callable[[], nn.Module]
    train: Callable[[nn.Module], float]

    @property
    def path(self) -> Path:
        """The file that keeps weights and accuracy."""
        return folder() / f"{self.name}.pt"


def folder() -> Path:
    """The cache folder of this version: under TAILWISE_CACHE, XDG_CACHE_HOME/tailwise or ~/.cache/tailwise."""
    own = os.environ.get("TAILWISE_CACHE")
    if own:
        return Path(own) / _VERSION
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "tailwise" / _VERSION


def obtain(recipe: Recipe, progress: Progress | None = None) -> tuple[nn.Module, float]:
    """A trained model in eval mode, and its held-out accuracy in [0, 1].

    Reads the cache; trains and writes it when it holds nothing valid. A cache that cannot be written is
    reported and costs the training again next time. Torch's generator and threads are left as they were.
    """
    say = progress or _silent
    try:
        return _read(recipe)
    except FileNotFoundError:
        say(f"training {recipe.name} (first run only)")
    # Whatever the bytes of a damaged file make the reader raise, the remedy is the same.
    except Exception as error:
        say(f"training {recipe.name} again: {recipe.path} is damaged ({type(error).__name__})")
    with _training():
        model = recipe.build()
        accuracy = recipe.train(model)
    try:
        _write(recipe.path, model, accuracy)
    except OSError as error:
        say(
            f"cannot keep {recipe.name} in {folder()} ({error.strerror}); TAILWISE_CACHE names another folder"
        )
    return _served(model), accuracy


def remembered(name: str, measure: Callable[[], float], progress: Progress | None = None) -> float:
    """A figure that was measured once with this version of torch and kept beside the weights, or is measured now.

    name: the file's stem. What is not a number there is measured again; a cache that cannot be written costs the
    measurement next time.
    """
    path = folder() / f"{name}-{torch.__version__}.txt"
    with contextlib.suppress(OSError, ValueError):
        return float(path.read_text(encoding="ascii"))
    if progress is not None:
        progress(f"measuring {name} (first run only)")
    value = measure()
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, repr(value).encode("ascii"))
    return value


def accuracy_of(recipe: Recipe) -> float:
    """The held-out accuracy of a recipe's model, which is trained if it has to be."""
    return obtain(recipe)[1]


def _read(recipe: Recipe) -> tuple[nn.Module, float]:
    content = recipe.path.read_bytes()
    digest, payload = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    # torch does not notice a changed byte among the weights.
    if digest != hashlib.sha256(payload).digest():
        raise ValueError("the checksum does not match")
    stored = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    # On "meta" a module draws no initial weights, so loading leaves the global generator alone.
    with torch.device("meta"):
        model = recipe.build()
    model.load_state_dict(stored["weights"], assign=True)
    return _served(model), float(stored["accuracy"])


def _write(path: Path, model: nn.Module, accuracy: float) -> None:
    payload = io.BytesIO()
    torch.save({"weights": model.state_dict(), "accuracy": accuracy}, payload)
    path.parent.mkdir(parents=True, exist_ok=True)
    _replace(path, hashlib.sha256(payload.getvalue()).digest() + payload.getvalue())


def _replace(path: Path, content: bytes) -> None:
    """Writes beside the target and renames, so that no reader ever sees half a file."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-")  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def _served(model: nn.Module) -> nn.Module:
    return model.eval().requires_grad_(False)


@contextlib.contextmanager
def _training() -> Iterator[None]:
    """A seeded generator, a fixed number of threads and gradients, all given back at the end."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(_N_THREADS)
    try:
        # Gradients alone are not enough: inside a caller's inference mode they stay off.
        with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.enable_grad():
            torch.manual_seed(_SEED)
            yield
    finally:
        torch.set_num_threads(n_threads)


def _silent(_: str) -> None:
    """Where nobody listens."""
