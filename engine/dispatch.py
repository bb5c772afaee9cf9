"""Which queued job runs, where and when: decide, queue, start, look again, drop, hedge.

No thread, no lock, no clock reading. The owner (executor, gateway, replay) passes `now_ns`, holds its own lock, and
carries out the `Orders` that every call returns. Compiled, since it stands between every job and the engine.
"""

from tailwise._queues.core import HEDGES_SAVED, Dispatch

__all__ = ["HEDGES_SAVED", "Dispatch"]
