"""The breaker of the common layer, one a gateway and lane: ejected after failures in a row, then one probe."""

from __future__ import annotations

import numpy as np

from bench.replay.compiled import compiled

__all__ = ["BACKOFF_S", "FAILURES", "MAX_BACKOFF_S", "heard", "let_through", "sent"]

FAILURES = 3  # in a row eject a lane
BACKOFF_S, MAX_BACKOFF_S = 1.0, 30.0  # doubled by each probe that fails


@compiled
def heard(state, gateway, lane, good, now_s):  # type: ignore[no-untyped-def]
    """A job has completed (good), or failed, or was the probe and expired."""
    here = state.lanes[gateway, lane]
    if good:
        here.failures = 0
        if here.ejected:
            here.ejected, here.probing, here.usable = False, False, True
            here.backoff_s = BACKOFF_S
            state.n_ejected[gateway] -= 1
        return
    here.failures += 1
    if here.probing:
        here.probing = False
        here.backoff_s = min(2.0 * here.backoff_s, MAX_BACKOFF_S)
        here.until_s = now_s + here.backoff_s
    elif not here.ejected and here.failures >= FAILURES:
        here.ejected, here.usable = True, False
        here.until_s = now_s + here.backoff_s
        state.n_ejected[gateway] += 1


@compiled
def let_through(state, gateway, now_s):  # type: ignore[no-untyped-def]
    """Before a choice: lanes whose backoff is over may have one probe; when every lane is out, all are used."""
    if state.n_ejected[gateway] == 0:
        return
    lanes = state.lanes[gateway]
    any_in = False
    for k in range(lanes.shape[0]):
        if lanes[k].ejected:
            lanes[k].usable = not lanes[k].probing and now_s >= lanes[k].until_s
        any_in = any_in or lanes[k].usable
    if not any_in:
        for k in range(lanes.shape[0]):
            lanes[k].usable = lanes[k].ejected


@compiled
def sent(state, gateway, lane):  # type: ignore[no-untyped-def]
    """A job was placed there: on an ejected lane it is the probe."""
    here = state.lanes[gateway, lane]
    if here.ejected:
        here.probing, here.usable = True, False
        here.until_s = np.inf
