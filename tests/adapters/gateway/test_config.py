"""The gateway's file: what is taken, and that each mistake is told with file, table and key."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

import tailwise as tw
from tailwise.adapters.gateway.config import EXAMPLE, load, parse
from tailwise.adapters.gateway.fleet import Fleet
from tailwise.errors import ConfigError

GOOD = """
[gateway]
port = 0
[[backend]]
name = "b0"
url = "http://127.0.0.1:8001"
[[model]]
name = "llama"
[[qos]]
name = "chat"
ttft_s = 1.0
"""


def changed(path: str, value: Any) -> dict[str, Any]:
    """GOOD with one value set, at "table.key" or "table.0.key"."""
    data: Any = tomllib.loads(GOOD)
    *parts, key = path.split(".")
    at = data
    for part in parts:
        at = at[int(part)] if part.isdigit() else at[part]
    at[key] = value
    return data  # type: ignore[no-any-return]


def test_the_example_is_valid_and_what_it_shows_as_defaults_are_the_defaults() -> None:
    text = EXAMPLE.read_text("utf-8")
    gateway = parse(tomllib.loads(text), "example")
    fleet = Fleet(gateway)
    assert [q.name for q in fleet.engine.qos] == ["chat", "chat (whole)", "batch"]
    lines = [line.removeprefix("# ") for line in text[: text.index("[[backend]]")].splitlines()[2:]]
    uncommented = tomllib.loads("\n".join(line for line in lines if " = " in line.partition("#")[0]))
    assert len(uncommented) > 15
    for key, value in uncommented.items():
        if key not in ("default_class", "seed"):
            assert getattr(gateway.serving, key) == value, key


def test_every_key_is_in_the_example() -> None:
    gateway = parse(tomllib.loads(GOOD), "good")
    text = EXAMPLE.read_text("utf-8")
    for table in (gateway.serving, gateway.backends[0]):
        for key in type(table).__dataclass_fields__:
            assert f"{key} = " in text or key in ("slots", "power_w"), key


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("gateway.prot", 1, r"f.toml: \[gateway\]: unknown prot"),
        ("extra", {}, r"f.toml: unknown extra"),
        ("gateway.port", "80", r"f.toml: \[gateway\]: \[gateway\]: port='80'"),
        ("gateway.port", 70000, "port=70000"),
        ("gateway.mode", "on", "mode='on'"),
        ("gateway.rule", "random", "rule='random'"),
        ("gateway.attempts", 0, "attempts=0"),
        ("gateway.hedge", 1, "hedge=1"),
        ("gateway.body_s", 0.0, "body_s=0.0"),
        ("gateway.default_class", "none", r"default_class='none', but the name of a class \(chat\)"),
        ("backend.0.url", "ftp://h", "url='ftp://h'"),
        ("backend.0.url", "http://u:p@h", "url='http://u:p@h'"),
        ("backend.0.name", "a\r\nx-more: 1", "name="),
        ("backend.0.url", 5, "url=5"),
        ("backend.0.url", "http://h:99999", "url='http://h:99999'"),
        ("backend.0.url", "http://h:0", "url='http://h:0'"),
        ("backend.0.url", "http://h:x", "url='http://h:x'"),
        ("backend.0.url", "http://[::1", "url='http://"),
        ("backend.0.url", "http://a..b", "url='http://a..b'"),
        ("backend.0.url", "http://h x", "url='http://h x'"),
        ("backend.0.url", "http://h/é", "url='http://h/é'"),
        ("backend.0.models", "llama", "models='llama', but a list is expected"),
        ("backend.0.models", 5, "models=5, but a list is expected"),
        ("backend.0.max_running", 0, "max_running=0"),
        ("backend.0.models", ["other"], r"models=\['other'\]"),
        ("backend.0.slots", 0, "slots=0"),
        ("backend.0.report", "ganglia", "report='ganglia'"),
        ("backend.0.report_path", "metrics", "report_path='metrics'"),
        ("backend.0.api_key_env", "TAILWISE_NOT_SET", "api_key_env='TAILWISE_NOT_SET'"),
        ("model.0.columns", ["unknown"], "columns names 'unknown'"),
        ("model.0.columns", "ahead", "columns='ahead'"),
        ("model.0.columns", ["ahead", "busy", "kv", "uncached", "session"], "at most 4"),
        ("model.0.api", "grpc", "api='grpc'"),
        ("model.0.paths", ["/x"], "paths="),
        ("model.0.paths", 5, "paths=5, but a list is expected"),
        ("model.0.aliases", "default", "aliases='default', but a list is expected"),
        ("model.0.streams", "yes", "streams='yes'"),
        ("model.0.aliases", ["llama"], "'llama', but a name used once"),
        ("model.0.typical_prompt", -1, "typical_prompt=-1"),
        ("qos.0.ttft_s", -1, "ttft_s=-1"),
        ("qos.0.deadline", 1, "unknown deadline"),
        ("qos", [], r"at least one \[\[qos\]\]"),
        ("model", {}, r"at least one \[\[model\]\]"),
    ],
)
def test_a_mistake_is_told_with_the_file_the_table_and_the_key(path: str, value: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        Fleet(parse(changed(path, value), "f.toml"))
    assert str(caught.value).startswith("f.toml: ")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (GOOD.replace('name = "b0"', ""), r"\[\[backend\]\]: name is missing"),
        (GOOD + '[[qos]]\nname = "chat"\nttft_s = 2.0', "'chat', but a name used once"),
        (
            GOOD.replace('name = "llama"', 'name = "llama"\nstreams = false'),
            "needs a class with a deadline_s",
        ),
        (
            GOOD.replace('name = "llama"', 'name = "llama"\nrequires = ["fp8"]\nsurprise = 1'),
            "unknown surprise",
        ),
    ],
)
def test_what_only_the_whole_file_shows(text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        Fleet(parse(tomllib.loads(text), "f.toml"))


def test_a_file_that_is_not_there_or_no_toml(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.toml: No such file"):
        load(tmp_path / "missing.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("[gateway")
    with pytest.raises(ConfigError, match=r"broken\.toml: not TOML"):
        load(broken)


def test_it_listens_on_loopback_unless_told_otherwise() -> None:
    assert parse(tomllib.loads(GOOD), "f").serving.loopback
    assert not parse(changed("gateway.host", "0.0.0.0"), "f").serving.loopback
    assert parse(changed("gateway.host", "::1"), "f").serving.loopback


def test_no_key_stands_in_what_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_BACKEND_KEY", "sk-hidden")
    gateway = parse(changed("backend.0.api_key_env", "TEST_BACKEND_KEY"), "f")
    assert gateway.backends[0].api_key == "sk-hidden"
    assert "sk-hidden" not in repr(gateway)


@pytest.mark.parametrize("key", ["", "sk-hidden\n", "sk-hidden\r\nx-more: 1", "sk hidden", "sk-€hidden"])
def test_a_key_that_cannot_be_sent_is_told_by_the_name_of_its_variable(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_BACKEND_KEY", key)
    with pytest.raises(
        ConfigError, match="api_key_env='TEST_BACKEND_KEY', but the name of one with a key"
    ) as told:
        parse(changed("backend.0.api_key_env", "TEST_BACKEND_KEY"), "f")
    assert "hidden" not in str(told.value)


def test_a_language_model_has_its_features_and_columns() -> None:
    [table] = parse(tomllib.loads(GOOD), "f").models
    assert table.model.signals == ("ttft", "tpot")
    assert [f.name for f in table.model.features if isinstance(f, tw.Feature)] == [
        "prompt_tokens",
        "max_tokens",
    ]
    assert [c.name for c in table.model.columns] == ["ahead", "busy", "uncached", "session"]
    assert table.model.d <= 12


@pytest.mark.parametrize("bounds", [{"ttft_s": 1.0}, {"deadline_s": 9.0}, {"ttft_s": 1.0, "deadline_s": 9.0}])
@pytest.mark.parametrize("objective", ["completion", "shared"])
def test_whatever_a_class_bounds_its_answers_may_come_whole(bounds: dict[str, float], objective: str) -> None:
    data = tomllib.loads(GOOD)
    data["qos"] = [{"name": "chat", "objective": objective, **bounds}]
    fleet = Fleet(parse(data, "file"))
    (served,) = fleet.served
    assert served.whole is not None
    route = fleet.engine.route(served.whole.model, served.whole.slo(served.usual).qos)
    assert route.qos.deadline_s < float("inf")
