"""What is put before the servers, by name: nginx with three of its rules, and tailwise's gateway."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from bench.gateway.fleet import Process, free_port, nginx, nginx_binary
from bench.llm.calibrate import Bounds
from bench.llm.client import MODEL
from bench.llm.server import Server

__all__ = ["DEFAULT", "OURS", "ROUTERS", "Way", "gateway_toml", "headers", "plain", "router"]

OURS = "tailwise"
_SERVE = "from tailwise.adapters.cli import main; main()"


class Way:
    """How the gateway is run: keys of [gateway], and of every [[qos]] beside its bounds."""

    def __init__(self, gateway: Mapping[str, object] | None = None, **qos: object) -> None:
        self.gateway = MappingProxyType(dict(gateway or {}))
        # nobody is refused, as behind nginx
        self.qos = MappingProxyType({"on_time": 0.9, "objective": "shared", "contract": "best_effort", **qos})


NGINX = {
    "round robin": "",
    "least connections": "least_conn;",
    "session hash": "hash $http_x_session_id consistent;",
}
GATEWAY = {
    OURS: Way(),
    "tailwise, completion": Way(objective="completion"),
    "tailwise, refusing": Way(contract="standard"),
}
ROUTERS = (*GATEWAY, *NGINX)
DEFAULT = (OURS, "round robin", "least connections")


def plain(rule: str) -> Way:
    """The gateway as a proxy that only follows a rule, where there is no nginx. Raises RuntimeError."""
    known = {"round robin": "round_robin", "least connections": "least_connections"}
    if rule not in known:
        raise RuntimeError(f"{rule!r} needs nginx (apt-get install nginx-light)")
    return Way({"mode": "bypass", "rule": known[rule], "attempts": 1, "hedge": False})


@contextmanager
def router(
    name: str, servers: Sequence[Server], bounds: Mapping[str, Bounds], folder: Path, seed: int
) -> Iterator[str]:
    """Its URL while it runs, knowing nothing at first. folder: for its files."""
    if name in NGINX and nginx_binary() is not None:
        process = nginx([server.url for server in servers], NGINX[name], folder / "nginx")
    else:
        port, config = free_port(), folder / "gateway.toml"
        way = GATEWAY.get(name) or plain(name)
        config.write_text(gateway_toml(port, servers, bounds, way, seed), encoding="utf-8")
        command = [sys.executable, "-c", _SERVE, "serve", str(config)]
        process = Process(command, port, log=folder / "gateway.log")
    try:
        yield process.url
    finally:
        process.stop()


def headers(bounds: Mapping[str, Bounds]) -> dict[str, dict[str, str]]:
    """What requests of each class bring, whoever reads it."""
    return {name: {"x-tailwise-class": name} for name in bounds}


def gateway_toml(
    port: int, servers: Sequence[Server], bounds: Mapping[str, Bounds], way: Way, seed: int
) -> str:
    lines = ["[gateway]", *_keys({"port": port, "tell": True, "seed": seed, **way.gateway})]
    for server in servers:
        backend = {"name": server.name, "url": server.url, "max_running": server.n_slots}
        lines += ["", "[[backend]]", *_keys(backend)]
    lines += ["", "[[model]]", *_keys({"name": MODEL, "typical_prompt": 150, "typical_answer": 20})]
    for i, (name, bound) in enumerate(bounds.items()):
        said = {"ttft_s": bound.ttft_s, "tpot_s": bound.tpot_s, "deadline_s": bound.end_s}
        known = {key: value for key, value in said.items() if value < math.inf}
        lines += ["", "[[qos]]", *_keys({"name": name, "priority": i, **known, **way.qos})]
    return "\n".join((*lines, ""))


def _keys(table: Mapping[str, object]) -> list[str]:
    """JSON writes numbers, truth and plain strings as TOML does."""
    return [f"{key} = {json.dumps(value)}" for key, value in table.items()]
