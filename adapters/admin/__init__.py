"""An engine over HTTP, for the people who are on call: the dashboard, and what the command line asks.
Extra: tailwise[gateway].

    with serve_admin(engine, journal, port=8245) as address:   # or path="/run/tailwise.sock"
        ...                                                    # the page is at address

| request | answer |
|---|---|
| GET / | the dashboard, one page |
| GET /api/snapshot | `tailwise.adapters.view.snapshot` |
| GET /api/why?n=10&request=ID&reason=late&explained=1 | `view.why` |
| GET /api/doctor | `tailwise.adapters.findings.doctor` |
| GET /api/curves?model=M&feature=F&signal=S | `tailwise.adapters.curves.curves` |
| GET /api/events | server-sent events: snapshot about once a second, decisions as they come, doctor now and then |
| POST /api/mode {"mode": "shadow", "rollout": 0.1} | `Engine.mode`; either may be left out |
| POST /api/reset {"resource": "gpu-0", "model": "net"} | `Engine.reset`; model may be left out |
| POST /api/drain, /api/undrain {"resource": "gpu-0"} | `Engine.drain`, `Engine.undrain` |

Only this machine may ask (loopback or a unix socket), under a name of this machine in Host, so that no page of
another site reaches it by a name that it points here. What changes something is a POST of JSON with the header
`x-tailwise-admin: 1`, which a page of another origin cannot send.
"""

from tailwise.errors import MissingExtra

try:
    import starlette as _starlette  # noqa: F401
except ImportError as error:
    raise MissingExtra("the admin app needs starlette: pip install 'tailwise[gateway]'") from error

from tailwise.adapters.admin.app import Admin
from tailwise.adapters.admin.serve import PORT, serve_admin

__all__ = ["PORT", "Admin", "serve_admin"]
