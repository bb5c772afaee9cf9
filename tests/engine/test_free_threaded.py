"""An interpreter without a global lock stays one when tailwise is imported; tests/engine/test_threads.py then tests
that its threads, which run at once, lose nothing either."""

import os
import subprocess
import sys
import sysconfig

import pytest


@pytest.mark.skipif(
    not sysconfig.get_config_var("Py_GIL_DISABLED"),
    reason="needs a free-threaded interpreter, 3.13t or newer",
)
def test_importing_tailwise_leaves_the_global_lock_off() -> None:
    """An extension that did not declare itself fit would turn it on, with a warning."""
    program = "import sys, tailwise, tailwise.dispatch; print(sys._is_gil_enabled())"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHON_GIL"}
    run = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == "False"
