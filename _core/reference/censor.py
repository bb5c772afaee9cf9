"""What a job teaches that was given up."""

from __future__ import annotations

import math

import numpy as np

from tailwise._core.reference.wait import NODES, WEIGHTS


def beyond(t: float, dof: float) -> tuple[float, float]:
    """Mean and variance of a Student-t given that it exceeds t, by quadrature over its tail probability.

    With u = sqrt(dof) tan(a) the density is cos(a)^(dof - 1); the second moment diverges slowest, like cos^(dof - 3),
    and substituting a = pi/2 - e^-v spreads its end.
    """
    low = math.atan(t / math.sqrt(dof))
    v0 = -math.log(math.pi / 2 - low)
    v = v0 + 0.5 * (37.0 / (dof - 2.0) + 12.0 / math.sqrt(dof)) * (NODES + 1.0)
    left = np.exp(-v)  # pi/2 - a
    density = WEIGHTS * np.sin(left) ** (dof - 1.0) * left
    density /= density.sum()
    u = math.sqrt(dof) / np.tan(left)
    mean = float(density @ u)
    return mean, float(density @ (u - mean) ** 2)
