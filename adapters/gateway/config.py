"""A gateway's file (TOML), read and validated: [gateway], [[backend]], [[model]], [[qos]]."""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from tailwise.adapters.gateway.models import ModelTable, model_of
from tailwise.adapters.gateway.tables import build, no_others, read, rows
from tailwise.adapters.load import FORMATS
from tailwise.errors import ConfigError
from tailwise.qos import QoS
from tailwise.types import Resource
from tailwise.validate import (
    hold_flag,
    hold_number,
    hold_whole,
    is_not_negative,
    is_one_of,
    is_positive,
    is_share,
    labels_of,
    require,
    require_name,
    unique_names,
)

__all__ = ["EXAMPLE", "Backend", "Gateway", "Serving", "load"]

#: A commented file to start from.
EXAMPLE = files("tailwise.adapters.gateway").joinpath("gateway.toml")

MODES = ("active", "shadow", "frozen", "bypass")
RULES = ("round_robin", "least_connections")


@dataclass(frozen=True, slots=True)
class Serving:
    """[gateway]: where it listens, and what it takes.

    host: loopback unless the file says another. admin_port: on loopback, whatever the host; None = none.
    max_body_bytes, max_header_bytes, max_headers: of a request; body_s: seconds for it to arrive. max_open: requests
    open at once; the next is refused. mode: as `engine.mode`; rollout: the share of requests that is ours in active
    mode. Of the others, and in shadow and bypass mode, `rule` chooses the backend unless the client names one.
    attempts: tries of a request, the first among them; hedge: may a slow start be tried elsewhere, too. queue: do
    requests wait here for a slot of their backend, by priority and deadline; for backends with slots and models that
    do not stream. give_up: is
    a request of which nothing has come by the deadline of its class answered 504, as one is at a deadline of its
    own. drain_s: seconds that open requests get at the end. default_class: of requests that ask for none; None = the
    first [[qos]]. report_every_s: how often load reports are asked for. prefix_blocks, sessions: how many prefixes
    of prompts, and sessions, are remembered; 0 = none. tell: headers x-tailwise-backend and x-tailwise-preferred in
    answers. forwarded: headers x-forwarded-for, -host and -proto to backends. seed: of ties; None draws one.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    admin_port: int | None = None
    max_body_bytes: int = 16 << 20
    max_header_bytes: int = 32 << 10
    max_headers: int = 100
    max_open: int = 1024
    body_s: float = 30.0
    drain_s: float = 30.0
    mode: Literal["active", "shadow", "frozen", "bypass"] = "active"
    rollout: float = 1.0
    rule: Literal["round_robin", "least_connections"] = "round_robin"
    attempts: int = 2
    hedge: bool = True
    queue: bool = False
    give_up: bool = False
    default_class: str | None = None
    report_every_s: float = 1.0
    prefix_blocks: int = 1 << 16
    sessions: int = 1 << 16
    tell: bool = False
    forwarded: bool = False
    seed: int | None = None

    def __post_init__(self) -> None:
        require_name("[gateway]", self.host, "host")
        hold_whole(self, "[gateway]", "port", 0, 65535)
        hold_whole(self, "[gateway]", "admin_port", 0, 65535, or_none=True)
        for name, least, most in (
            ("max_body_bytes", 1, 1 << 40),
            ("max_header_bytes", 256, 1 << 20),
            ("max_headers", 1, 10_000),
            ("max_open", 1, 1 << 20),
            ("attempts", 1, 16),
        ):
            hold_whole(self, "[gateway]", name, least, most)
        for name in ("body_s", "report_every_s"):
            hold_number(self, "[gateway]", name, is_positive, "seconds > 0")
        for name in ("prefix_blocks", "sessions"):
            hold_whole(self, "[gateway]", name, 0, 1 << 24)
        hold_number(self, "[gateway]", "rollout", is_share, "a share in [0, 1]")
        hold_number(self, "[gateway]", "drain_s", is_not_negative, "seconds >= 0")
        hold_flag(self, "[gateway]", "hedge", "queue", "give_up", "tell", "forwarded")
        hold_whole(self, "[gateway]", "seed", 0, or_none=True)
        for name, known in (("mode", MODES), ("rule", RULES)):
            value = getattr(self, name)
            require(is_one_of(value, known), "[gateway]", name, value, " or ".join(map(repr, known)))

    @property
    def loopback(self) -> bool:
        """Whether only this machine reaches it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


@dataclass(frozen=True, slots=True)
class Backend:
    """[[backend]]: one upstream. The gateway connects to no other address than these.

    url: http or https, host and port, with a path that is put before each request's, if any. models: names of those
    that it serves; None = all. slots, max_running .. power_w: as `tailwise.Resource`; with neither slots nor
    max_running it is taken to run up to 256 requests together. report: format of its load report (vllm, sglang ..;
    orca: in the headers of its answers); None = none is read. report_path: of the page with it, from the host's root.
    api_key_env: name of the environment variable with the key that is sent there instead of the client's. connect_s,
    read_s: seconds to connect, and without a byte.
    """

    name: str
    url: str
    models: tuple[str, ...] | None = None
    slots: int | None = None
    max_running: int | None = None
    kv_tokens: float | None = None
    cost_per_s: float = 0.0
    offset_s: float = 0.0
    power_w: float = 0.0
    kind: str = ""
    labels: frozenset[str] = frozenset()
    report: str | None = None
    report_path: str = "/metrics"
    api_key_env: str | None = None
    connect_s: float = 2.0
    read_s: float = 300.0

    def __post_init__(self) -> None:
        require_name("[[backend]]", self.name)
        me = f"[[backend]] {self.name!r}"
        require(self.name.isprintable(), me, "name", self.name, "printable characters: it stands in headers")
        expected = "http(s)://HOST:PORT without user, query and fragment"
        require(isinstance(self.url, str) and _is_plain(self.url), me, "url", self.url, expected)
        object.__setattr__(self, "url", self.url.rstrip("/"))
        object.__setattr__(self, "labels", labels_of(me, "labels", self.labels))
        for name in ("connect_s", "read_s"):
            hold_number(self, me, name, is_positive, "seconds > 0")
        expected = f"one of {', '.join(FORMATS)} or nothing"
        require(self.report is None or is_one_of(self.report, FORMATS), me, "report", self.report, expected)
        starts = isinstance(self.report_path, str) and self.report_path.startswith("/")
        require(starts, me, "report_path", self.report_path, "a path that starts with /")
        both = self.slots is not None and self.max_running is not None
        require(not both, me, "max_running", self.max_running, "either slots or max_running")
        if self.api_key_env is not None:
            known = is_one_of(self.api_key_env, os.environ)
            expected = "the name of an environment variable that is set"
            require(known, me, "api_key_env", self.api_key_env, expected)
            # the value itself is in no message
            expected = "the name of one with a key: printable ASCII, without spaces and line ends"
            fit = re.fullmatch(r"[!-~]+", os.environ[self.api_key_env]) is not None
            require(fit, me, "api_key_env", self.api_key_env, expected)

    def resource(self, queued: bool = False) -> Resource:
        """The engine's resource. queued: who waits for it waits here. Raises ConfigError."""
        capacity: dict[str, Any] = {"slots": self.slots}
        if self.slots is None:
            most = 256 if self.max_running is None else self.max_running
            capacity = {"max_running": most, "kv_tokens": self.kv_tokens}
        return Resource(
            self.name,
            cost_per_s=self.cost_per_s,
            offset_s=self.offset_s,
            power_w=self.power_w,
            kind=self.kind,
            labels=self.labels,
            discipline="priority" if queued else "fifo",
            **capacity,
        )

    @property
    def api_key(self) -> str | None:
        """The key, read when it is asked for, so that it stands in no printed configuration."""
        return None if self.api_key_env is None else os.environ[self.api_key_env]


def _is_plain(url: str) -> bool:
    """Whether it is the address of a server, whose parts can be sent as they are."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna")
        fit = parts.port != 0 and parts.path.isascii()
    except ValueError:  # of a port, an IPv6 address or a name that is none
        return False
    odd = parts.query or parts.fragment or parts.username or parts.password
    return fit and parts.scheme in ("http", "https") and bool(host) and not odd and not re.search(r"\s", url)


@dataclass(frozen=True, slots=True)
class Gateway:
    """One validated file."""

    name: str
    serving: Serving
    backends: tuple[Backend, ...]
    models: tuple[ModelTable, ...]
    qos: tuple[QoS, ...]

    @property
    def default_class(self) -> str:
        return self.serving.default_class or self.qos[0].name


def load(path: Path) -> Gateway:
    """Reads a gateway's file. Raises ConfigError that names the file, the table and the key."""
    return parse(read(path), str(path))


def parse(data: dict[str, Any], name: str) -> Gateway:
    """As `load`, of tables that are read."""
    no_others(name, data, ("gateway", "backend", "model", "qos"))
    gateway = Gateway(
        name,
        build(Serving, data.get("gateway", {}), f"{name}: [gateway]"),
        tuple(build(Backend, row, f"{name}: [[backend]]") for row in rows(name, data, "backend")),
        tuple(model_of(row, f"{name}: [[model]]") for row in rows(name, data, "model")),
        tuple(build(QoS, row, f"{name}: [[qos]]") for row in rows(name, data, "qos")),
    )
    try:
        _check(gateway)
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from None
    return gateway


def _check(gateway: Gateway) -> None:
    unique_names("gateway", "[[backend]]", gateway.backends)
    unique_names("gateway", "[[qos]]", gateway.qos)
    unique_names("gateway", "[[model]]", gateway.models)
    classes = [q.name for q in gateway.qos]
    wanted = gateway.serving.default_class
    expected = f"the name of a class ({', '.join(classes)})"
    require(wanted is None or wanted in classes, "[gateway]", "default_class", wanted, expected)
    names: set[str] = set()
    for model in gateway.models:
        for name in model.names:
            require(name not in names, f"[[model]] {model.name!r}", "name or alias", name, "a name used once")
            names.add(name)
    if gateway.serving.queue:
        _check_queued(gateway)
    declared = {model.name for model in gateway.models}
    for backend in gateway.backends:
        unknown = [m for m in backend.models or () if m not in declared]
        expected = f"names of [[model]] tables ({', '.join(sorted(declared))})"
        require(not unknown, f"[[backend]] {backend.name!r}", "models", unknown, expected)
    for model in gateway.models:
        served = any(b.models is None or model.name in b.models for b in gateway.backends)
        require(served, f"[[model]] {model.name!r}", "backends", [], "a [[backend]] that serves it")


def _check_queued(gateway: Gateway) -> None:
    for backend in gateway.backends:
        expected = "slots, since [gateway] has queue = true,"
        require(backend.slots is not None, f"[[backend]] {backend.name!r}", "slots", backend.slots, expected)
    for model in gateway.models:
        expected = "false, since [gateway] has queue = true: streams are batched by their backends,"
        require(not model.streams, f"[[model]] {model.name!r}", "streams", model.streams, expected)
