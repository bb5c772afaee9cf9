"""Load reports: what servers say of themselves, read as it is and handed to `engine.report`.

formats.toml holds what each kind of server says and how it calls it; `read_metrics` reads a page by one of them,
`read_orca` the headers of a response; `Poller` asks again and again, and knows what is missing.
"""

from tailwise.adapters.load.faults import Fault
from tailwise.adapters.load.formats import FORMATS, Field, Format, formats_of
from tailwise.adapters.load.intake import Intake, State
from tailwise.adapters.load.orca import ORCA_REQUEST, read_orca
from tailwise.adapters.load.page import read_metrics
from tailwise.adapters.load.poller import Poller, Target
from tailwise.adapters.load.report import Report

__all__ = [
    "FORMATS",
    "ORCA_REQUEST",
    "Fault",
    "Field",
    "Format",
    "Intake",
    "Poller",
    "Report",
    "State",
    "Target",
    "formats_of",
    "read_metrics",
    "read_orca",
]
