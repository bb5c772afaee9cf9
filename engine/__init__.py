"""tailwise: picks, per inference job and within a microsecond, the resource on which its deadline holds.

An online-learning scheduling engine for jobs with different QoS on shared hardware. See `Engine`.
"""

from tailwise._core.core import Ticket
from tailwise.batching import Batching
from tailwise.certificate import Certificate
from tailwise.clock import Clock, ManualClock, MonotonicClock
from tailwise.column import Column
from tailwise.engine import Engine
from tailwise.errors import (
    CapacityError,
    ConfigError,
    InputError,
    JobExpired,
    JobRejected,
    JobTimedOut,
    MissingExtra,
    QueueFull,
    TailwiseError,
    TicketError,
    UnknownName,
    WorkerError,
)
from tailwise.explanation import Candidate, Explanation
from tailwise.family import Family
from tailwise.given import Profile, load_profiles
from tailwise.health import Breaker, Health
from tailwise.modes import Mode
from tailwise.qos import QoS
from tailwise.route import Route
from tailwise.rules import Rules
from tailwise.statistics import Statistics
from tailwise.summary import LengthSummary, ProfileSummary
from tailwise.types import Feature, Model, Resource

__all__ = [
    "Batching",
    "Breaker",
    "Candidate",
    "CapacityError",
    "Certificate",
    "Clock",
    "Column",
    "ConfigError",
    "Engine",
    "Explanation",
    "Family",
    "Feature",
    "Health",
    "InputError",
    "JobExpired",
    "JobRejected",
    "JobTimedOut",
    "LengthSummary",
    "ManualClock",
    "MissingExtra",
    "Mode",
    "Model",
    "MonotonicClock",
    "Profile",
    "ProfileSummary",
    "QoS",
    "QueueFull",
    "Resource",
    "Route",
    "Rules",
    "Statistics",
    "TailwiseError",
    "Ticket",
    "TicketError",
    "UnknownName",
    "WorkerError",
    "load_profiles",
]

__version__ = "0.1.0"
