"""The public name of the error tree."""

from tailwise._core.errors import *  # noqa: F403
from tailwise._core.errors import __all__ as __all__
