"""Says where decisions differ from the golden file, or writes it anew, which takes a reason:

python -m tests.golden
python -m tests.golden --write "why decisions differ from those before"

The reason is put in front of tests/golden/README.md's list.
"""

from __future__ import annotations

import argparse
from collections import Counter

import numpy as np

from tailwise._core import core
from tests.golden.close import closeness
from tests.golden.file import FILE, load, play, store
from tests.golden.lives import REFUSED

MARK = "<!-- newest first -->\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--write", metavar="REASON")
    reason = parser.parse_args().write
    if reason is None:
        for path in core.PATHS:
            core.use_path(path)
            compare(path)
        return
    path, chosen = core.path(), play()
    note = FILE.with_name("README.md")
    differing = (
        f"{np.count_nonzero(chosen != load()[1])} of {chosen.size} differ" if FILE.exists() else "the first"
    )
    store(path, chosen)
    text = note.read_text()
    note.write_text(text.replace(MARK, f"{MARK}- {path}, {differing}: {reason}\n"))
    reasons = Counter(chosen.ravel().tolist())
    print({name: reasons[code] for name, code in REFUSED.items()})


def compare(path: str) -> None:
    made_on, golden = load()
    differing = np.argwhere(play() != golden)
    print(f"{path}: {len(differing)} of {golden.size} differ from those on {made_on}")
    for seed, at in differing:
        print(f"  life {seed}, decision {at}: the closest comparison {closeness(int(seed), int(at)):.1e}")


if __name__ == "__main__":
    main()
