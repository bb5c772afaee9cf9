"""Which admission serves each router of the field best: `python -m bench.batching.tune [--seeds 5]`.

Every rule of a grid, on the choosing seeds, judged by the mean share that kept both bounds over the four
rates: one rule for all rates, as ours is."""

from __future__ import annotations

import argparse
from itertools import product

import numpy as np

from bench.batching.players import NAMES
from bench.batching.router import Admission, Kind, Router
from bench.batching.scenarios import CHOOSING_SEEDS, SCENARIOS

JOBS = (20.0, 24.0, 28.0, np.inf)
TOKENS = (2500.0, 3000.0, 3500.0, 4000.0, 5000.0, np.inf)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    seeds = CHOOSING_SEEDS[: parser.parse_args().seeds]
    traffics = [[(scenario.draw(seed), seed) for seed in seeds] for scenario in SCENARIOS.values()]
    for kind in Kind:
        shares = {}
        for jobs, tokens in product(JOBS, TOKENS):
            router = Router(NAMES[kind], kind, Admission(jobs, tokens))
            shares[jobs, tokens] = [
                float(np.mean([router.play(traffic, seed).figures(traffic).both for traffic, seed in drawn]))
                for drawn in traffics
            ]
        for rule in sorted(shares, key=lambda rule: -np.mean(shares[rule]))[:3]:
            by_rate = " ".join(f"{share:.3f}" for share in shares[rule])
            print(f"{NAMES[kind]}: {rule[0]:g} jobs, {rule[1]:g} tokens: {by_rate}", flush=True)


if __name__ == "__main__":
    main()
