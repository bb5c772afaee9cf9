"""Profiles measured elsewhere: slopes, tables, and what is wrong with a table."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

import tailwise as tw
from tailwise._core import reference as ref

MODEL = tw.Model("m", (tw.Feature("batch", typical=8.0, knee=True), "length"))
QOS = [tw.QoS("q", 1.0, contract="best_effort")]
TABLE = """resource,model,mean_s,spread,weight,slope.batch,slope.length
a,m,0.02,0.2,50,0.9,
b,m,0.05,,,,-0.5
"""


def engine(*profiles: tw.Profile) -> tw.Engine:
    return tw.Engine(
        [tw.Resource("a"), tw.Resource("b")], [MODEL], QOS, profiles=profiles, clock=tw.ManualClock(), seed=1
    )


def test_a_given_slope_is_what_is_forecast_before_the_first_result() -> None:
    made = engine(tw.Profile("a", "m", 0.02, slopes={"batch": 0.9, "length": 0.0}))
    typical, double = (made.profile("a", "m", (b, 0.0)).median_s for b in (8.0, 16.0))
    assert typical == pytest.approx(0.02 * math.exp(-0.045), rel=1e-9)
    assert double == pytest.approx(typical * 2**0.9, rel=1e-9)
    (candidate,) = [c for c in made.route("m", "q").peek((16.0, 0.0)) if c.resource.name == "a"]
    assert math.exp(candidate.ln_service) == pytest.approx(double, rel=1e-6)


def test_results_outweigh_a_given_slope_as_the_reference_says() -> None:
    made = engine(tw.Profile("a", "m", 0.02, spread=0.2, weight=5.0, slopes={"batch": 0.9}))
    rng = np.random.default_rng(1)
    rows, times = [], []
    for _ in range(20):
        u = (float(rng.uniform(1, 30)), float(rng.uniform(0, 9)))
        times.append(0.01 * u[0] ** 0.3)
        rows.append(ref.encode_features(u, (8.0, 0.0), (True, False)))
        made.route("m", "q").select(u, mask=1).complete(times[-1])
    given = (math.log(0.02) - 0.02, 0.2, 5.0)
    prior = ref.prior_of([], MODEL.d, 0, given, slopes={1: 0.9})
    want = ref.posterior(ref.Evidence(np.array(rows), np.log(times), np.ones(20)), prior)
    np.testing.assert_allclose(made._core.posterior(0, 0)["mean"], want.mean, rtol=1e-9, atol=1e-9)


def test_a_reset_goes_back_to_the_given_slopes() -> None:
    made = engine(tw.Profile("a", "m", 0.02, slopes={"batch": 0.9}))
    before = made.profile("a", "m", (64.0, 0.0)).median_s
    for _ in range(9):
        made.route("m", "q").select((64.0, 0.0), mask=1).complete(0.5)
    made.reset("a")
    assert made.profile("a", "m", (64.0, 0.0)).median_s == pytest.approx(before, rel=1e-9)


def test_a_profile_that_was_given_to_a_removed_resource_is_not_its_successors() -> None:
    made = engine(tw.Profile("a", "m", 0.02))
    assert made.profile("a", "m").source == "given"
    made.remove("a")
    made.add(tw.Resource("a"))
    assert made.profile("a", "m").source == "unknown"


def test_a_slope_of_a_feature_that_is_not_there_is_refused_and_adds_nothing() -> None:
    wrong = tw.Profile("a", "m", 0.02, slopes={"bach": 0.9})
    with pytest.raises(tw.ConfigError, match="'bach', but the model's features are 'batch', 'length'"):
        engine(wrong)
    made = engine()
    with pytest.raises(tw.ConfigError, match="'bach'"):
        made.add(tw.Resource("c"), profiles=[tw.Profile("c", "m", 0.02, slopes={"bach": 0.9})])
    assert [r.name for r in made.resources] == ["a", "b"]


def test_a_table_gives_the_same_as_csv_and_as_toml(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(TABLE)
    (tmp_path / "p.toml").write_text(
        "[[profile]]\nresource = 'a'\nmodel = 'm'\nmean_s = 0.02\nspread = 0.2\nweight = 50\nslopes = {batch = 0.9}\n"
        "[[profile]]\nresource = 'b'\nmodel = 'm'\nmean_s = 0.05\n[profile.slopes]\nlength = -0.5\n"
    )
    want = (
        tw.Profile("a", "m", 0.02, 0.2, 50.0, {"batch": 0.9}),
        tw.Profile("b", "m", 0.05, slopes={"length": -0.5}),
    )
    assert tw.load_profiles(tmp_path / "p.csv") == want
    assert tw.load_profiles(str(tmp_path / "p.toml")) == want
    assert engine(*want).profile("a", "m").source == "given"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.txt", TABLE, r"p.txt: a .csv or .toml"),
        ("p.csv", "", "no profile"),
        ("p.csv", TABLE.replace("0.02", "fast"), r"line 2: mean_s='fast', but a number"),
        ("p.csv", TABLE.replace("0.05", "-1"), r"line 3: .*mean_s=-1"),
        ("p.csv", TABLE.replace("0.05", ""), "line 3: mean_s missing"),
        ("p.csv", TABLE.replace("b,m,0.05", "a,m,0.05"), r"line 3: \('a', 'm'\) is in .*line 2 already"),
        ("p.csv", TABLE.replace("spread", "sd"), "line 2: sd is none of"),
        ("p.csv", TABLE + "c,m\n", "line 4: 7 cells"),
        ("p.csv", TABLE + "c,m,1,1,1,1,1,1,1\n", "line 4: 7 cells"),
        ("p.toml", "profile = 3", r"\[\[profile\]\]"),
        ("p.toml", "[[profile", "no TOML"),
        ("p.toml", "[[profile]]\nresource = 'a'", "profile 1: model and mean_s missing"),
        ("p.toml", "[[profile]]\nresource = 'a'\nmodel = 'm'\nmean_s = 'x'", "profile 1: .*mean_s='x'"),
        ("p.toml", "[[profile]]\nresource='a'\nmodel='m'\nmean_s=1.0\nslopes={b=nan}", "profile 1: .*slopes"),
    ],
)
def test_a_table_that_is_wrong_says_where_and_why(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(tw.ConfigError, match=message):
        tw.load_profiles(tmp_path / name)


def test_a_profile_of_what_its_resource_cannot_run_is_refused_by_engine_and_add_alike() -> None:
    models = [MODEL, tw.Model("elsewhere", resources=("b",))]
    resources, wrong = [tw.Resource("a"), tw.Resource("b")], tw.Profile("a", "elsewhere", 0.02)
    message = r"Profile \('a', 'elsewhere'\): the resource cannot run the model"
    with pytest.raises(tw.ConfigError, match=message):
        tw.Engine(resources, models, QOS, profiles=[wrong])
    made = tw.Engine(resources[1:], models, QOS, clock=tw.ManualClock(), seed=1)
    before = made._core.snapshot()
    for profile, named in ((wrong, message), (tw.Profile("b", "m", 0.02), "a profile of 'a' is expected")):
        with pytest.raises(tw.ConfigError, match=named):
            made.add(resources[0], profiles=[profile])
        assert made._core.snapshot() == before
