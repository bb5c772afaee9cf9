"""The host's floating-point arithmetic is not ours to change: rounding and denormals stay as they were."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

LIBRARY = """
#include <xmmintrin.h>

unsigned mode(void) { return _mm_getcsr() & ~0x3fu; }   /* all but the flags of what has happened */
void flush_denormals(void) { _mm_setcsr(_mm_getcsr() | 0x8040); }
void round_down(void) { _mm_setcsr((_mm_getcsr() & ~0x6000u) | 0x2000); }
"""

# One thread is there before the import and reads its own mode after it; it was made with the mode of its maker.
PROGRAM = """
import ctypes, sys, threading
library = ctypes.CDLL(sys.argv[1])
mode = library.mode
if sys.argv[2] != "as it comes":
    getattr(library, sys.argv[2])()
modes = {"before": mode()}
imported = threading.Event()

def look():
    modes["thread, before"] = mode()
    started.set()
    imported.wait()
    modes["thread, imported"] = mode()

started = threading.Event()
thread = threading.Thread(target=look)
thread.start()
started.wait()

import tailwise as tw
modes["imported"] = mode()
imported.set()
thread.join()

from tailwise._core import core
column = tw.Column("own", scale=1.0)
model = tw.Model("m", ("a",), (column,))
engine = tw.Engine([tw.Resource("r"), tw.Resource("s")], [model], [tw.QoS("q", 1.0)], seed=1)
route = engine.route("m", "q")
for path in core.PATHS:
    core.use_path(path)
    route.select((1.0,), route.buffer()).complete(0.01)
    modes[path] = mode()
route.select((1.0,), route.buffer()).complete(0.01)
modes["decided"] = mode()
later = threading.Thread(target=lambda: modes.update(later=mode()))
later.start()
later.join()
library.flush_denormals()
assert mode() != modes["before"] or sys.argv[2] == "flush_denormals"
print(len(modes), *sorted(set(modes.values())))
"""


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="reads the control register of SSE")
@pytest.mark.parametrize("set_to", ["as it comes", "flush_denormals", "round_down"])
def test_importing_and_deciding_leave_the_floating_point_mode_alone(tmp_path: Path, set_to: str) -> None:
    """Whatever it was before, it is one and the same everywhere; that a change would be seen is asserted in there."""
    source, library = tmp_path / "mode.c", tmp_path / "mode.so"
    source.write_text(LIBRARY)
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", source, "-o", library], check=True)
    command = [sys.executable, "-c", PROGRAM, library, set_to]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    n_read, *modes = map(int, run.stdout.split())
    assert n_read >= 6
    expected = {"as it comes": 0x1F80, "flush_denormals": 0x9FC0, "round_down": 0x3F80}
    assert modes == [expected[set_to]]
