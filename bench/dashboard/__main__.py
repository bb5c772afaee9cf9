"""`python -m bench.dashboard`: the dashboard at its address until Ctrl-C; with --png, a screenshot of it instead.

The picture of the README: `python -m bench.dashboard --png bench/dashboard.png --open`. That needs chromium and
chromedriver.
"""

from __future__ import annotations

import argparse
import contextlib
import threading
from pathlib import Path

from bench.dashboard.load import loaded
from bench.dashboard.screenshot import picture, small
from tailwise.adapters.admin import serve_admin


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.dashboard", description=__doc__)
    parser.add_argument("--png", type=Path, help="write a screenshot here")
    parser.add_argument("--seconds", type=float, default=50.0, help="of load before the screenshot")
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=1480)
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--open", action="store_true", help="with the latest explained decision opened")
    parser.add_argument("--port", type=int, default=0)
    asked = parser.parse_args()
    with loaded() as journal, serve_admin(journal.engine, journal, port=asked.port) as address:
        print(address, flush=True)
        if asked.png is None:
            threading.Event().wait()
        else:
            shot = picture(
                address,
                asked.seconds,
                width=asked.width,
                height=asked.height,
                dark=asked.dark,
                opened=asked.open,
            )
            asked.png.write_bytes(small(shot))


with contextlib.suppress(KeyboardInterrupt):
    main()
