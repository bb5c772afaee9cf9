# Which version of the kernels runs.

cdef list runnable = [name for name in ("plain", "avx2", "avx512") if version_of(name.encode()) != NULL]
cdef str running

PATHS = tuple(runnable)     #: the versions that this processor runs, slowest first


def path():
    """The version of the kernels that is in use: one of PATHS, the last one unless it was changed."""
    return running


def use_path(str name):
    """Runs another version of the kernels from now on, in the whole process: for tests and measurements.
    Raises InputError."""
    global kernels, running
    if name not in PATHS:
        raise InputError(f"path {name!r}: this processor runs {', '.join(PATHS)}")
    kernels = version_of(name.encode())
    running = name


use_path(PATHS[len(PATHS) - 1])
