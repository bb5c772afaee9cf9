"""The dashboard and the alert rules, loaded by a real Prometheus that scrapes a real collector."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from prometheus_client import CollectorRegistry, start_http_server

from tailwise.adapters.prometheus import TailwiseCollector
from tests.adapters.metrics.served import Served
from tests.debian import program

FOLDER = files("tailwise.adapters.metrics")
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text(encoding="utf-8"))
QUERIES = [(panel["title"], t["expr"]) for panel in DASHBOARD["panels"] for t in panel["targets"]]

#: A quarter of an hour in which one class misses its target, one runs out of headroom, and a resource fails.
SERIES = """
rule_files: [{rules}]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - {{series: 'tailwise_known_jobs_total{{qos="chat"}}', values: '0+100x30'}}
      - {{series: 'tailwise_on_time_jobs_total{{qos="chat"}}', values: '0+90x30'}}
      - {{series: 'tailwise_target_ratio{{qos="chat"}}', values: '0.95x30'}}
      - {{series: 'tailwise_known_jobs_total{{qos="fine"}}', values: '0+100x30'}}
      - {{series: 'tailwise_on_time_jobs_total{{qos="fine"}}', values: '0+99x30'}}
      - {{series: 'tailwise_target_ratio{{qos="fine"}}', values: '0.95x30'}}
      - {{series: 'tailwise_headroom_ratio{{qos="chat"}}', values: '0.05x30'}}
      - {{series: 'tailwise_headroom_ratio{{qos="fine"}}', values: '0.5x30'}}
      - {{series: 'tailwise_breaker_open{{resource="a"}}', values: '1x30'}}
      - {{series: 'tailwise_breaker_open{{resource="b"}}', values: '0x30'}}
      - {{series: 'tailwise_overdue_jobs{{resource="b"}}', values: '0x20 2x10'}}
      - {{series: 'tailwise_claims_disagree{{qos="chat"}}', values: '1x30'}}
      - {{series: 'tailwise_offered_jobs_total{{qos="chat"}}', values: '0+100x30'}}
      - {{series: 'tailwise_refused_jobs_total{{qos="chat", reason="late"}}', values: '0+8x30'}}
      - {{series: 'tailwise_abandoned_tickets_total', values: '0x20 3x10'}}
    promql_expr_test:
      - expr: sort_desc(count by (alertname) (ALERTS{{alertstate="firing"}}))
        eval_time: 25m
        exp_samples:
"""


def test_every_rule_fires_when_it_should_and_only_then(tmp_path: Path) -> None:
    promtool = program("promtool", "prometheus")
    rules = str(FOLDER / "alerts.yaml")
    names = re.findall(r"alert: (\w+)", (FOLDER / "alerts.yaml").read_text(encoding="utf-8"))
    expected = "".join(f"          - {{labels: '{{alertname=\"{name}\"}}', value: 1}}\n" for name in names)
    script = tmp_path / "fires.yaml"
    script.write_text(SERIES.format(rules=rules) + expected, encoding="utf-8")
    done = subprocess.run(
        [promtool, "test", "rules", str(script)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


class Scraping:
    """A Prometheus that scrapes `served` every second."""

    def __init__(self, folder: Path, target: str) -> None:
        config = folder / "prometheus.yml"
        rules = str(FOLDER / "alerts.yaml")
        config.write_text(
            "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
            f"rule_files: ['{rules}']\n"
            f"scrape_configs: [{{job_name: tailwise, static_configs: [{{targets: ['{target}']}}]}}]\n",
            encoding="utf-8",
        )
        self.log = folder / "log"
        binary = program("prometheus", "prometheus")
        with self.log.open("w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [
                    binary,
                    f"--config.file={config}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    "--web.listen-address=127.0.0.1:0",
                ],
                stderr=log,
            )
        port = until(
            lambda: re.search(r"Listening on\" address=127.0.0.1:(\d+)", self.log.read_text(encoding="utf-8"))
        )
        self.url = f"http://127.0.0.1:{port[1]}/api/v1"

    def get(self, path: str, **query: str) -> Any:
        with urlopen(f"{self.url}/{path}?{urlencode(query)}", timeout=10) as answer:
            return json.load(answer)["data"]

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)


def until(found: Callable[[], Any], seconds: float = 120.0) -> Any:
    """Asks until there is an answer; of a program that tells nobody when it is ready."""
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        if answer := found():
            return answer
        time.sleep(0.05)
    raise AssertionError("it did not happen")


@pytest.fixture(scope="module")
def scraping(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scraping]:
    program("prometheus", "prometheus")
    served = Served()
    registry = CollectorRegistry()
    registry.register(TailwiseCollector(served.journal, headroom=lambda qos: 0.4))
    served.jobs(5)
    served.jobs(1, end="fail")
    served.refuse(2)
    served.answers(3)
    server, thread = start_http_server(0, "127.0.0.1", registry)
    prometheus = Scraping(tmp_path_factory.mktemp("prometheus"), f"127.0.0.1:{server.server_port}")
    try:
        # a rate needs two scrapes
        seen = "count_over_time(tailwise_open_tickets[1m]) >= 2"
        until(lambda: prometheus.get("query", query=seen)["result"])
        yield prometheus
    finally:
        prometheus.stop()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize(("title", "expr"), QUERIES)
def test_every_query_of_the_dashboard_finds_what_is_exported(
    scraping: Scraping, title: str, expr: str
) -> None:
    assert scraping.get("query", query=expr)["result"], f"{title}: nothing has these names and labels"


def test_the_rules_load_and_are_evaluated(scraping: Scraping) -> None:
    [group] = until(lambda: scraping.get("rules")["groups"])
    assert len(group["rules"]) == 7
    evaluated = until(lambda: all(r["health"] == "ok" for r in scraping.get("rules")["groups"][0]["rules"]))
    assert evaluated


def test_the_dashboard_is_one_that_grafana_takes() -> None:
    """What its provisioning wants: a title, a uid, a schema version, panels with ids and places of their own."""
    assert DASHBOARD["title"] == DASHBOARD["uid"] == "tailwise"
    assert DASHBOARD["schemaVersion"] >= 36
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    places = {(p["gridPos"]["x"], p["gridPos"]["y"]) for p in DASHBOARD["panels"]}
    assert len(places) == len(ids)
    assert all(p["gridPos"]["x"] + p["gridPos"]["w"] <= 24 for p in DASHBOARD["panels"])
    assert {p["datasource"]["uid"] for p in DASHBOARD["panels"]} == {"${datasource}"}
