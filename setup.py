"""The compiled core; everything declarative is in pyproject.toml."""

import platform
from glob import glob

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup

# -fwrapv comes from Python's own flags and slows the triangular loops three to five times.
# No -march=native and no -ffast-math: wheels must run elsewhere, and the host's arithmetic is not ours to change.
FLAGS = ["-O3", "-fno-wrapv", "-fno-math-errno", "-fno-trapping-math", "-Wno-unused-function", "-Wno-psabi"]

core = Extension(
    "tailwise._core.core",
    ["_core/core.pyx", "_core/plain.c", "_core/avx2.c", "_core/avx512.c"],
    include_dirs=["_core", numpy.get_include()],
    define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")],
    # Named although Python has it loaded: unnamed, the loader takes the oldest exp and log of glibc, which set errno.
    libraries=[] if platform.system() == "Windows" else ["m"],
    extra_compile_args=[] if platform.system() == "Windows" else FLAGS,
    depends=[*glob("_core/*.h"), *glob("_core/*.px*")],
)

# Queues hold Python objects: nothing here is worth a vector, and they build in seconds.
queues = Extension(
    "tailwise._queues.core",
    ["engine/_queues/core.pyx"],
    depends=glob("engine/_queues/*.pxi"),
)

# As it is: called several times a job, it spends less in itself than its calls and names cost the interpreter.
policy = Extension("tailwise.policy", ["engine/policy.py"])

# Set here and not in the sources, because a .pxd does not inherit the directives of the .pyx that cimports it.
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
    "freethreading_compatible": True,
}

setup(
    ext_modules=cythonize(
        [core, queues, policy], include_path=["."], build_dir="build/cython", compiler_directives=DIRECTIVES
    )
)
