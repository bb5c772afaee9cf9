"""Things to look at again at a given moment, earliest first; clock-free, like the queues."""

from tailwise._queues.core import Timer, Timers

__all__ = ["Timer", "Timers"]
