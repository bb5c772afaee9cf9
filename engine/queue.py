"""The queues of everyone who queues: one per resource, by priority, then earliest deadline; expiry by the clock.

No thread, no lock, no clock reading: the owner passes `now_ns` and holds its own lock. `Dispatch` stands on it.
"""

from tailwise._queues.core import Queued, Queues

__all__ = ["Queued", "Queues"]
