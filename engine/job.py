"""A job as the queues' owner sees it, its places on resources, and what the owner is told to do."""

from tailwise._queues.core import Job, Orders, Run

__all__ = ["Job", "Orders", "Run"]
