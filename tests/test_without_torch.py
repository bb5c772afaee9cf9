"""The package without torch: it imports, the executor says what to install, and every other test can run."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

#: As if torch were not installed.
HIDE = """
import sys
from importlib.machinery import PathFinder

class Hidden:
    @staticmethod
    def find_spec(name, path=None, target=None):
        return None if name.partition(".")[0] == "torch" else PathFinder.find_spec(name, path, target)

sys.meta_path[:] = [Hidden if finder is PathFinder else finder for finder in sys.meta_path]
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", HIDE + program],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=250,
        check=False,
    )


def test_it_imports_and_the_executor_says_what_to_install() -> None:
    said = run("import tailwise, tailwise.dispatch\nimport tailwise.adapters.torch")
    assert "MissingExtra: the executor needs torch: pip install 'tailwise[torch]'" in said.stderr


def test_all_other_tests_are_collected_and_those_of_policies_pass() -> None:
    every = run("import pytest\nsys.exit(pytest.main(['--collect-only', '-q', '-p', 'no:cacheprovider']))")
    assert every.returncode == 0, every.stdout[-2000:]
    assert "tests/engine/test_batching.py" in every.stdout
    assert "adapters/torch" not in every.stdout
    some = run(
        "import pytest\nsys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', 'tests/engine/test_policy.py']))"
    )
    assert some.returncode == 0, some.stdout[-2000:]
