"""The package without torch: it imports, the executor says what to install, and every other test can run."""

from tests.hidden import run_without


def test_it_imports_and_the_executor_says_what_to_install() -> None:
    said = run_without("torch", "import tailwise, tailwise.dispatch\nimport tailwise.adapters.torch")
    assert "MissingExtra: the executor needs torch: pip install 'tailwise[torch]'" in said.stderr


def test_all_other_tests_are_collected_and_those_of_policies_pass() -> None:
    every = run_without(
        "torch", "import pytest\nsys.exit(pytest.main(['--collect-only', '-q', '-p', 'no:cacheprovider']))"
    )
    assert every.returncode == 0, every.stdout[-2000:]
    assert "tests/engine/test_batching.py" in every.stdout
    assert "adapters/torch" not in every.stdout
    some = run_without(
        "torch",
        "import pytest\n"
        "sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', 'tests/engine/test_policy.py']))",
    )
    assert some.returncode == 0, some.stdout[-2000:]
