"""The decide path allocates nothing but its ticket, and that comes from a free list: counted in malloc itself."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

COUNTER = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>

static long n;
long n_allocations(void) { return n; }

void *malloc(size_t size)
{
    static void *(*next)(size_t);
    if (!next) next = dlsym(RTLD_NEXT, "malloc");
    n++;
    return next(size);
}

void *realloc(void *p, size_t size)
{
    static void *(*next)(void *, size_t);
    if (!next) next = dlsym(RTLD_NEXT, "realloc");
    n++;
    return next(p, size);
}
"""

# With PYTHONMALLOC=malloc every Python object is one malloc. repeat() hands out one object again and again.
PROGRAM = """
import ctypes, itertools, sys
import tailwise as tw
n_allocations = ctypes.CDLL(sys.argv[1]).n_allocations
columns = (tw.Column("busy", scale=4.0, tracked="running"), tw.Column("own", scale=1.0))
engine = tw.Engine(
    [tw.Resource(f"r{i}", slots=2) for i in range(8)],
    [tw.Model("m", ("a", "b"), columns)],
    [tw.QoS("q", 1.0)],
    seed=1,
)
route = engine.route("m", "q")
x, Z, mask, service_s = (3.0, 4.0), route.buffer(), 0xFF, 0.01

def count(n, work):
    for _ in itertools.repeat(None, 50):
        work()
    before = n_allocations()
    for _ in itertools.repeat(None, n):
        work()
    return n_allocations() - before

def nothing():
    pass

def decide():
    route.select(x, Z, mask=mask).cancel()

def settle():
    route.select(x, Z, mask=mask).complete(service_s)

print(count(2000, nothing), count(2000, decide), count(2000, settle), count(2000, object))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="interposes malloc by the preload of the Linux linker")
def test_select_and_settle_allocate_nothing(tmp_path: Path) -> None:
    """2000 decisions: what the loop itself allocates and not one more; an object a turn is seen, so it counts."""
    source, library = tmp_path / "counter.c", tmp_path / "counter.so"
    source.write_text(COUNTER)
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", source, "-o", library, "-ldl"], check=True)
    env = {**os.environ, "LD_PRELOAD": str(library), "PYTHONMALLOC": "malloc"}
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, library], env=env, capture_output=True, text=True, check=True
    )
    idle, decided, settled, objects = map(int, run.stdout.split())
    assert objects >= 2000
    assert decided <= idle
    assert settled <= idle
