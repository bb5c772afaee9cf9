"""The lines that `python -m tests.mutants` breaks are there: found out now, not at its next run of ten minutes."""

from pathlib import Path

import pytest

from tests.mutants import MUTANTS, ROOT, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: f"{m.guarantee}-{Path(m.file).name}")
def test_a_line_to_break_is_there_once(mutant: Mutant) -> None:
    assert (ROOT / mutant.file).read_text().count(mutant.line) == 1
    assert mutant.broken != mutant.line
    assert Path(ROOT, mutant.tests.split()[0]).exists()
