"""The mathematics of the core in plain NumPy, under the kernels' names: the specification they are tested against.

Slow, stateless, float64, written from rows of data instead of sums. Tests and benches use it; it is never a
fallback. Seconds everywhere; x (d,) is encoded, x[0] = 1; `spread` s and location m are of ln(seconds).
"""

from tailwise._core.reference.belief import *  # noqa: F403
from tailwise._core.reference.censor import *  # noqa: F403
from tailwise._core.reference.certificate import *  # noqa: F403
from tailwise._core.reference.change import *  # noqa: F403
from tailwise._core.reference.choice import *  # noqa: F403
from tailwise._core.reference.claim import *  # noqa: F403
from tailwise._core.reference.encoding import *  # noqa: F403
from tailwise._core.reference.forecast import *  # noqa: F403
from tailwise._core.reference.foreign import *  # noqa: F403
from tailwise._core.reference.joint import *  # noqa: F403
from tailwise._core.reference.offset import *  # noqa: F403
from tailwise._core.reference.overdue import *  # noqa: F403
from tailwise._core.reference.pool import *  # noqa: F403
from tailwise._core.reference.rules import *  # noqa: F403
from tailwise._core.reference.silence import *  # noqa: F403
from tailwise._core.reference.stream import *  # noqa: F403
from tailwise._core.reference.wait import *  # noqa: F403
