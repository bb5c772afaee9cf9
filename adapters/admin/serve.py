"""The admin app in a thread of its own, beside whatever a process does."""

from __future__ import annotations

import os
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tailwise.adapters.admin.app import Admin
from tailwise.adapters.journal import Journal
from tailwise.adapters.view import Headroom, Reporting
from tailwise.engine import Engine
from tailwise.errors import ConfigError, MissingExtra

__all__ = ["PORT", "serve_admin"]

#: Where the command line looks when nobody says another place: TAIL on a telephone.
PORT = 8245


@contextmanager
def serve_admin(
    engine: Engine,
    journal: Journal | None = None,
    poller: Reporting | None = None,
    headroom: Headroom | None = None,
    *,
    path: str | os.PathLike[str] | None = None,
    port: int = PORT,
) -> Iterator[str]:
    """Serves the dashboard and the admin requests for as long as the `with` lasts; gives its address.

    path: of a unix socket, which only this user may open (0600), instead of a port. One that a dead process left
    there is replaced. port: on 127.0.0.1; 0 = any that is free. Raises ConfigError (the place is taken, or cannot
    be), MissingExtra.
    """
    try:
        import uvicorn
    except ImportError as error:
        raise MissingExtra("serve_admin needs uvicorn: pip install 'tailwise[gateway]'") from error
    app = Admin(engine, journal, poller, headroom)
    listening = _listen_tcp(port) if path is None else _listen_unix(Path(path))
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=5,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(
        target=server.run, kwargs={"sockets": [listening]}, name="tailwise.admin", daemon=True
    )
    thread.start()
    try:
        # it listens already: who connects before the thread runs waits for a moment
        yield f"unix:{path}" if path is not None else "http://127.0.0.1:{1}".format(*listening.getsockname())
    finally:
        app.close()
        server.should_exit = True
        thread.join()
        listening.close()
        if path is not None:
            Path(path).unlink(missing_ok=True)


def _listen_tcp(port: int) -> socket.socket:
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", port))
        listening.listen()
    except (OSError, OverflowError) as error:
        listening.close()
        raise ConfigError(f"port={port!r}: {error}; a free port in 0..65535 is expected") from None
    return listening


def _listen_unix(path: Path) -> socket.socket:
    _remove_stale(path)
    listening = socket.socket(socket.AF_UNIX)
    try:
        listening.bind(os.fspath(path))
        path.chmod(0o600)  # before it listens nobody can connect
        listening.listen()
    except OSError as error:
        listening.close()
        raise ConfigError(
            f"path={os.fspath(path)!r}: {error}; a place for a socket is expected, of at most 107 bytes, in a "
            "folder that is there"
        ) from None
    return listening


def _remove_stale(path: Path) -> None:
    """What a process that died without a word has left. Raises ConfigError where something else is there."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return
    if not stat.S_ISSOCK(mode):
        raise ConfigError(f"path={os.fspath(path)!r} is there and no socket: it stays; name another place")
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise ConfigError(f"path={os.fspath(path)!r}: {error}") from None
        else:
            raise ConfigError(f"path={os.fspath(path)!r}: somebody serves there; name another place")
