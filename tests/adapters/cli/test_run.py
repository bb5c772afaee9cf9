"""`tailwise run` end to end on a small workload of real tensors and real workers."""

import importlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tailwise.adapters.cli.app import app

WORKLOAD = """
[arrivals]
load = 0.3
block_s = 1.0
[[qos]]
name = "urgent"
deadline_s = 0.2
weight = 3.0
[[qos]]
name = "batch"
deadline_services = 10000.0
priority = 2
[[resource]]
name = "thread"
worker = "thread"
[[resource]]
name = "process"
[[model]]
name = "linear"
source = "torch.nn:Identity"
inputs = [[64, 64]]
[[mix]]
model = "linear"
qos = "urgent"
[[mix]]
model = "linear"
qos = "batch"
"""


@pytest.fixture
def workload(tmp_path: Path) -> Path:
    path = tmp_path / "w.toml"
    # a job of about 3 ms: an identity would make more arrivals than one thread can submit
    (tmp_path / "slow_model.py").write_text(
        "import torch\n\ndef slow():\n    w = torch.ones(500, 500)\n"
        "    return lambda x: (w @ w @ w @ w)[:64, :64] * x\n"
    )
    path.write_text(WORKLOAD.replace("torch.nn:Identity", "slow_model:slow"))
    return path


@pytest.fixture(autouse=True)
def importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))


def test_a_run_plays_the_same_jobs_through_every_policy_and_writes_its_figures(
    workload: Path, tmp_path: Path
) -> None:
    figures, page = tmp_path / "out.json", tmp_path / "out.html"
    arguments = [
        "run",
        str(workload),
        "--seconds",
        "1",
        "--seed",
        "4",
        "--json",
        str(figures),
        "--report",
        str(page),
    ]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "tailwise is ahead by" in result.output
    data = json.loads(figures.read_text())
    policies = data["policies"]
    assert list(policies) == ["tailwise", "round_robin", "least_outstanding", "p2c_peak_ewma"]
    offered = [{name: c["offered"] for name, c in p["classes"].items()} for p in policies.values()]
    assert all(o == offered[0] for o in offered)
    assert sum(offered[0].values()) > 0  # how many depends on what this machine was just measured to serve
    for policy in policies.values():
        assert 0.0 <= policy["weighted_goodput"] <= 1.0
        assert policy["wrong"] == 0
        for c in policy["classes"].values():
            assert c["offered"] == c["on_time"] + c["late"] + c["expired"] + c["rejected"] + c["failed"]
            assert c["failed"] == 0
    assert page.read_text().count("<svg") == 6


def test_tailwise_plays_without_the_rules_of_its_queues_beside_itself(workload: Path, tmp_path: Path) -> None:
    figures = tmp_path / "out.json"
    arguments = ["run", str(workload), "--seconds", "1", "--rules", "both", "--json", str(figures)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "urgent p99, ms" in " ".join(result.output.split())
    data = json.loads(figures.read_text())
    assert list(data["policies"])[:2] == ["tailwise", "tailwise_no_rules"]
    assert "tailwise_no_rules" in data["differences"]
    offered = [p["classes"]["urgent"]["offered"] for p in data["policies"].values()]
    assert offered == [offered[0]] * 5


def test_without_rules_alone_nothing_is_ahead_of_anything(workload: Path, tmp_path: Path) -> None:
    figures, page = tmp_path / "out.json", tmp_path / "out.html"
    arguments = ["run", str(workload), "--seconds", "1", "--rules", "none"]
    result = CliRunner().invoke(app, [*arguments, "--json", str(figures), "--report", str(page)])
    assert result.exit_code == 0, result.output
    data = json.loads(figures.read_text())
    assert "tailwise" not in data["policies"]
    assert data["differences"] == {}
    assert "nan" not in page.read_text().lower()


def test_a_trace_gives_the_arrivals(workload: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("t_s\n" + "".join(f"{t}\n" for t in range(1000)))
    result = CliRunner().invoke(app, ["run", str(workload), "--seconds", "1", "--trace", str(trace)])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["none.toml"], "none.toml"),
        (["{workload}", "--trace", "none.csv"], "none.csv"),
        (["{workload}", "--rules", "some"], "some"),
        (["{workload}", "--json", "no/such/folder.json"], "folder"),
    ],
)
def test_a_mistake_ends_with_two_and_one_message(arguments: list[str], named: str, workload: Path) -> None:
    result = CliRunner().invoke(app, ["run", *(a.format(workload=workload) for a in arguments)])
    assert result.exit_code == 2
    assert named in result.output
    assert "Traceback" not in result.output


def test_ctrl_c_ends_cleanly_and_prints_what_it_has(workload: Path, tmp_path: Path) -> None:
    """Interrupted in its second block or later, the run exits with 0, prints both tables and writes its figures."""
    figures = tmp_path / "out.json"
    program = "from tailwise.adapters.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", program, "run", str(workload), "--seconds", "30", "--json", str(figures)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        # a shell that runs the tests in the background makes them, and so their children, ignore Ctrl-C
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    watchdog = threading.Timer(120, process.kill)
    watchdog.start()
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "least_outstanding" in line:
            process.send_signal(signal.SIGINT)
            break
    rest, _ = process.communicate()
    watchdog.cancel()
    output = "".join(lines) + rest
    assert process.returncode == 0, output
    assert "Traceback" not in output
    assert "interrupted" in output
    assert "By policy and class" in rest
    assert json.loads(figures.read_text())["interrupted"] is True


def test_jobs_are_joined_where_the_workload_says_so(tmp_path: Path) -> None:
    """One slot and an overload: whoever waits is served together."""
    path = tmp_path / "w.toml"
    text = WORKLOAD.replace("load = 0.3", "load = 1.5").replace(
        'source = "torch.nn:Identity"\ninputs = [[64, 64]]',
        'source = "rows:model"\nrequests = "rows:Source"\nitems = "rows"\nmax_items = 64\n'
        'feature = [{ name = "rows", typical = 2.0 }]',
    )
    path.write_text(text.replace('[[resource]]\nname = "process"\n', ""))
    (tmp_path / "rows.py").write_text(
        "from functools import partial\n"
        "import torch\n"
        "from tailwise.adapters.cli.workloads.answers import has_shape\n"
        "from tailwise.adapters.cli.workloads.request import Request\n"
        "\n"
        "SEEN = []\n"
        "\n"
        "def model():\n"
        "    w = torch.ones(500, 500)\n"
        "    def call(x):\n"
        "        SEEN.append(len(x))\n"
        "        return x * (w @ w @ w @ w)[0, 0]\n"
        "    return call\n"
        "\n"
        "class Source:\n"
        "    def draw(self, rng):\n"
        "        n = int(rng.integers(1, 4))\n"
        "        return Request((torch.ones(n, 8),), (float(n),), partial(has_shape, shape=(n, 8)))\n"
        "    def accuracy(self):\n"
        "        return None\n"
    )
    result = CliRunner().invoke(app, ["run", str(path), "--seconds", "1"])
    assert result.exit_code == 0, result.output
    seen = importlib.import_module("rows").SEEN
    assert 3 < max(seen) <= 64  # a job has three at most
