"""What claims are worth: mean P(on time) less the on-time share of each class, by the forecast alone and as claimed.

`python -m bench.claims [--seeds 12]` plays tests/world.py (60 s of simulated time a seed) at three loads, with and
without events, on seeds that nothing was chosen on; about a minute of CPU for 12 seeds.
"""

from __future__ import annotations

import argparse

from tests.claims import mean_gaps

FIRST_SEED = 31


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=12, help="worlds of each kind")
    seeds = range(FIRST_SEED, FIRST_SEED + parser.parse_args().seeds)
    titled = False
    for load in (0.8, 0.95, 1.2):
        for events in (False, True):
            by_class = mean_gaps(load, events, seeds)
            if not titled:
                print("| load | " + " | ".join(f"{name} raw | claim" for name in by_class) + " |")
                print("|---" * (1 + 2 * len(by_class)) + "|")
                titled = True
            cells = " | ".join(f"{gap.raw:+.3f} | {gap.claim:+.3f}" for gap in by_class.values())
            print(f"| {load:g}{', events' if events else ''} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
