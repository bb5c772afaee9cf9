"""Who decides: tailwise, the caller's own router, or both in shares; switched while the engine runs."""

from __future__ import annotations

from typing import Literal, get_args

from tailwise._core.core import Core
from tailwise.errors import ConfigError
from tailwise.validate import as_number, is_one_of, is_share

__all__ = ["Mode", "Modes"]

Mode = Literal["active", "shadow", "bypass", "frozen"]

#: As the core numbers them (layout.pxd, Mode); active with a rollout share below 1 has its own number.
_NUMBERS: dict[Mode, int] = {"active": 0, "shadow": 2, "frozen": 3, "bypass": 4}
_ACTIVE_IN_PART = 1


class Modes:
    """The switch of an engine; `Engine` inherits it."""

    _core: Core

    def mode(self, mode: Mode | None = None, *, rollout: float | None = None) -> Mode:
        """Switches the mode of all routes at once; returns the mode that holds now. Without arguments it only tells.

        "active": we decide, for the share `rollout` in [0, 1] of the jobs, drawn by the generator; for the others
        the caller's own choice stands (`select(..., default=NAME)`; not given: the open candidate with the fewest
        open jobs). "shadow": the caller's choice stands for all. A job on which it stands is always admitted, is
        counted and learned from, and tells what we would have chosen (`ticket.preferred`, `ticket.regret_s`).
        "frozen": we decide, and nothing is learned, whenever the job was sent; breakers still open and close.
        "bypass": the caller's choice stands, and nothing is decided, counted or learned; x and Z are not
        looked at, except by `select_many`, and the ticket holds nothing, but is settled like any other.

        Nothing is promised of a job on which the caller's choice stood, or that was sent in shadow, frozen or
        bypass mode. rollout: None leaves the share as it is (1 at first), whatever the mode.
        Raises ConfigError and then changes nothing.
        """
        if mode is not None and not is_one_of(mode, _NUMBERS):
            raise ConfigError(f"mode={mode!r}, but one of {', '.join(map(repr, get_args(Mode)))} is expected")
        share = None if rollout is None else as_number(rollout)
        if share is not None and not is_share(share):
            raise ConfigError(f"rollout={rollout!r}, but a share in [0, 1] is expected")
        self._core.set_mode(None if mode is None else _NUMBERS[mode], share)
        return _name_of(self._core.mode[0]) if mode is None else mode

    @property
    def rollout(self) -> float:
        """The share of the jobs that is ours in active mode."""
        return self._core.mode[1]


def _name_of(number: int) -> Mode:
    if number == _ACTIVE_IN_PART:
        return "active"
    return next(name for name, n in _NUMBERS.items() if n == number)
