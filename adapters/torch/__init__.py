"""Executes jobs on torch devices and streams their results back into the posterior. Extra: tailwise[torch]."""

from tailwise.errors import MissingExtra

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise MissingExtra("the executor needs torch: pip install 'tailwise[torch]'") from error

from tailwise.adapters.torch.answers import Listener
from tailwise.adapters.torch.executor import Executor
from tailwise.adapters.torch.job import JobFuture, JobRecord
from tailwise.adapters.torch.memory import Residence
from tailwise.adapters.torch.stats import ClassStats, ExecutorStats, ResourceStats
from tailwise.adapters.torch.stream import JobStream
from tailwise.adapters.torch.worker import (
    Handle,
    Loaded,
    ModelSource,
    Outcome,
    Process,
    Result,
    Thread,
    Worker,
    WorkerSpec,
)

__all__ = [
    "ClassStats",
    "Executor",
    "ExecutorStats",
    "Handle",
    "JobFuture",
    "JobRecord",
    "JobStream",
    "Listener",
    "Loaded",
    "ModelSource",
    "Outcome",
    "Process",
    "Residence",
    "ResourceStats",
    "Result",
    "Thread",
    "Worker",
    "WorkerSpec",
]
