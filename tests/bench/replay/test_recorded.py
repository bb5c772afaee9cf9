"""Worlds from recorded files: what is the file's stays the file's, and the load is the one that was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.replay.recorded.chats import Chats, draw_chats
from bench.replay.recorded.knee import Knee, draw_knee, fit_knee
from bench.replay.recorded.pace import at_pace, well_rate
from bench.replay.recorded.prompts import Prompts, draw_prompts
from bench.replay.recorded.table import recorded_scenarios
from bench.replay.recorded.vision import LAUNCH_S, Vision, draw_vision
from bench.replay.rows import TraceError
from bench.replay.scenarios import SCENARIOS
from bench.replay.traces import LoadTest, Requests, Trials
from bench.replay.world import World
from tailwise.errors import ConfigError

RNG = np.random.default_rng(7)
N = 400
REQUESTS = Requests(
    np.cumsum(RNG.exponential(1.0, N)),
    RNG.integers(10, 4000, N).astype(float),
    RNG.integers(1, 500, N).astype(float),
)


def _trials() -> Trials:
    """Two networks, one of which was not measured on one machine; three trials a cell."""
    rows = [
        (network, hardware, cards, prompt, batch, seconds * 1e-3 * prompt * batch * (1.0 + 0.01 * trial))
        for network, hardware, cards, seconds in (
            ("a", "x-80gb", 2, 1.0),
            ("a", "y", 8, 3.0),
            ("b", "y", 8, 5.0),
        )
        for prompt, batch in ((128, 1), (512, 1), (512, 4), (512, 16))
        for trial in range(3)
    ]
    network, hardware, *numbers = zip(*rows, strict=True)
    cards, prompt, batch, seconds = (np.array(column, dtype=float) for column in numbers)
    return Trials(list(network), list(hardware), cards, prompt, batch, prompt, seconds, seconds, seconds)


def _load_test(read_s: float, write_s: float, share: float, n: int = 200) -> LoadTest:
    """A replica that is exactly what the fit supposes: a request every .7 s, as long as those in service make it."""
    rng = np.random.default_rng(3)
    prompt, output = rng.integers(100, 2000, n).astype(float), rng.integers(2, 400, n).astype(float)
    launch, total = 0.7 * np.arange(n), np.empty(n)
    for k in range(n):
        busy = int(np.count_nonzero(launch[:k] + total[:k] > launch[k]))
        total[k] = (read_s * prompt[k] + write_s * output[k]) * (1.0 + share * busy)
    return LoadTest(["chat"] * n, np.full(n, 1.4), launch, prompt, output, 0.1 * total, 0.9 * total)


@pytest.fixture(scope="session")
def timm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GPU image takes 1, 2, 3, 4 ms by network and a CPU one 10 times that, faster on later devices."""
    folder = tmp_path_factory.mktemp("timm")
    head = "model,infer_img_size,infer_step_time,infer_batch_size,infer_gmacs,infer_macts\n"
    networks = (
        ("efficientnet_b0", 224, 0.78),
        ("vit_small_patch16_224", 224, 0.81),
        ("efficientnet_b4", 320, 0.83),
        ("vit_large_patch16_224", 224, 0.86),
    )
    devices = ("rtx3090", "4090", "5090", "pro6000maxq", "cpu-i7_12700h-dynamo", "cpu-i9_10940x-dynamo")
    for d, device in enumerate(devices):
        slow = (10.0 if "cpu" in device else 1.0) * (1.0 - 0.1 * d)
        rows = (
            f"{name},{side},{100 * (i + 1) * slow},100,1,1\n" for i, (name, side, _) in enumerate(networks)
        )
        (folder / f"benchmark-infer-{device}.csv").write_text(head + "".join(rows))
    accuracy = "".join(f"{name}.w,{side},{100 * top1}\n" for name, side, top1 in networks)
    (folder / "results-imagenet.csv").write_text("model,img_size,top1\n" + accuracy)
    return folder


@pytest.fixture(params=["azure", "blind", "timm", "splitwise", "lmbench"])
def world(request: pytest.FixtureRequest, timm: Path) -> Iterator[World]:
    """A world of each kind, with events."""
    match request.param:
        case "azure":
            yield draw_chats(Chats(0.8, events=True), REQUESTS, seed=5)
        case "blind":
            yield draw_chats(Chats(0.8, events=True, blind=True), REQUESTS, seed=5)
        case "timm":
            yield draw_vision(Vision(0.8, events=True, duration_s=4.0), timm, seed=5)
        case "splitwise":
            yield draw_prompts(Prompts(0.8, events=True), _trials(), seed=5)
        case "lmbench":
            yield draw_knee(Knee(0.8, events=True), _load_test(2e-4, 0.04, 0.05), seed=5)


def test_a_world_is_complete(world: World) -> None:
    """Sorted arrivals from 0; every job has a class, a model, inputs above 0 and somewhere to run."""
    n, n_lanes = len(world), len(world.resources)
    assert world.arrival_s[0] >= 0.0
    assert (np.diff(world.arrival_s) >= 0.0).all()
    assert world.service_s.shape == world.mean_s.shape == (n, n_lanes)
    assert (world.service_s > 0.0).all()
    assert np.isfinite(world.service_s).any(axis=1).all()
    assert np.array_equal(np.isfinite(world.service_s), np.isfinite(world.mean_s))
    assert set(world.qos) == {0, 1, 2}
    assert world.x.shape == (n, len(world.models[0].features))
    assert (world.x > 0.0).all()
    assert {event.kind for event in world.events} == {"slow", "fails", "hangs"}
    assert max(event.end_s for event in world.events) < world.arrival_s[-1]


def test_true_means_are_the_means_of_what_happens(world: World) -> None:
    """Over all jobs and lanes; the noise of a mean of n times with a spread below 1.5 is below 6/sqrt(n) of it."""
    able = np.isfinite(world.service_s)
    ratio = world.service_s[able].sum() / world.mean_s[able].sum()
    assert ratio == pytest.approx(1.0, abs=6.0 / np.sqrt(len(world)))


def test_the_asked_load_is_the_rate_over_what_the_fleet_serves(world: World) -> None:
    """Within the noise of a Poisson count, 5/sqrt(n), and that of the sampled capacity."""
    rate = len(world) / world.arrival_s[-1]
    served = well_rate(world.mean_s, world.slots, world.interference)
    assert rate / served == pytest.approx(0.8, rel=5.0 / np.sqrt(len(world)) + 0.02)


def test_a_trace_is_played_once_from_anywhere_at_another_pace() -> None:
    arrival_s = np.array([0.0, 1.0, 3.0, 6.0])  # gaps 1, 2, 3 and, round the end, their mean 2
    times, rows = at_pace(arrival_s, 2.0, np.random.default_rng(0))
    assert sorted(rows) == [0, 1, 2, 3]
    gaps = {0: 1.0, 1: 2.0, 2: 3.0, 3: 2.0}
    # 4 jobs in 8 s are .5 a second, so the clock runs four times as fast
    assert times == pytest.approx(np.concatenate(([0.0], np.cumsum([gaps[r] / 4.0 for r in rows[:-1]]))))


def test_well_rate_of_two_groups_on_a_fleet_that_is_made_for_them() -> None:
    """Half of the jobs can run on the first lane only (1 s), half on the second only (2 s, 3 slots; another .5 a job
    in service, so 4 s with all in use): the second ends 3/4 of its half a second, so 1.5 in all."""
    mean_s = np.array([[1.0, np.inf], [np.inf, 2.0]] * 50)
    assert well_rate(mean_s, np.array([1, 3]), np.array([0.0, 0.5])) == pytest.approx(1.5)


def test_chats_keep_the_tokens_of_the_trace_and_one_class_by_size() -> None:
    world = draw_chats(Chats(0.8), REQUESTS, seed=1)
    traced = set(zip(REQUESTS.prompt_tokens, REQUESTS.output_tokens, strict=True))
    assert set(map(tuple, world.x)) == traced
    order = np.argsort(world.mean_s[:, 5])  # a100x4 is about the middle machine: classes follow its seconds
    assert np.count_nonzero(np.diff(world.qos[order]) < 0) < 0.02 * len(world)


def test_cached_tokens_are_not_read_again() -> None:
    cached = replace(REQUESTS, cached_tokens=REQUESTS.prompt_tokens)
    assert (draw_chats(Chats(0.8), cached, seed=1).x[:, 0] == 1.0).all()


def test_a_blind_world_tells_neither_features_nor_true_means_the_output() -> None:
    """Two requests with the same prompt have the same input and the same mean whatever they answer."""
    same = replace(REQUESTS, prompt_tokens=np.full(N, 700.0))
    world = draw_chats(Chats(0.8, blind=True), same, seed=1)
    assert (world.x == [700.0]).all()
    assert (np.ptp(world.mean_s, axis=0) < 1e-9).all()
    assert (np.ptp(world.service_s, axis=0) > 1.0).all()


def test_vision_times_are_those_of_the_file(timm: Path) -> None:
    """A GPU image of the first network takes 1 ms there, and a launch is added; a CPU image 6 ms on the fifth."""
    world = draw_vision(Vision(0.8, duration_s=4.0), timm, seed=1)
    first = world.model == 0
    assert world.mean_s[first, 0] == pytest.approx(LAUNCH_S + 1e-3 * world.x[first, 0])
    assert world.mean_s[first, 4] == pytest.approx(6e-3 * world.x[first, 0])
    assert [m.accuracy for m in world.models] == pytest.approx([0.78, 0.83, 0.81, 0.86])
    held = [q.min_accuracy for q in world.classes]
    assert all(world.models[m].accuracy >= held[c] for m, c in zip(world.model, world.qos, strict=True))


def test_a_timm_folder_without_a_device_is_refused(timm: Path, tmp_path: Path) -> None:
    for path in timm.iterdir():
        if "5090" not in path.name:
            (tmp_path / path.name).write_text(path.read_text())
    with pytest.raises(TraceError, match=r"no file benchmark-infer-\*5090\.csv"):
        draw_vision(Vision(0.8), tmp_path, seed=1)


def test_prompts_take_recorded_trials_and_run_where_they_were_measured() -> None:
    world = draw_prompts(Prompts(0.8), _trials(), seed=1)
    names = [r.name for r in world.resources]
    assert names == ["x-80gbx2", "yx8"]
    assert world.models[1].resources == ("yx8",)
    assert np.isinf(world.service_s[world.model == 1, 0]).all()
    recorded = set(np.round(_trials().prompt_s, 9))
    assert set(np.round(world.service_s[np.isfinite(world.service_s)], 9)) <= recorded


def test_the_fit_of_a_knee_finds_the_constants_that_made_the_file() -> None:
    """The file is exact, so to the fit's own tolerance."""
    fit = fit_knee(_load_test(2e-4, 0.04, 0.05))
    assert (fit.read_s, fit.write_s, fit.share) == pytest.approx((2e-4, 0.04, 0.05), rel=1e-3)


def test_the_same_seed_draws_the_same_world_and_another_one_another() -> None:
    worlds = [draw_chats(Chats(0.8), REQUESTS, seed) for seed in (1, 1, 2)]
    assert np.array_equal(worlds[0].service_s, worlds[1].service_s)
    assert not np.array_equal(worlds[0].service_s, worlds[2].service_s)


def test_each_recorded_scenario_says_what_file_it_needs() -> None:
    for scenario in recorded_scenarios((101,)):
        assert SCENARIOS[scenario.id].trace == scenario.trace
        with pytest.raises(ConfigError, match=str(scenario.trace)):
            scenario.draw(101, None)


def test_a_scenario_reads_its_file_from_a_folder_of_several(tmp_path: Path) -> None:
    folder = tmp_path / "mooncake"
    folder.mkdir()
    rows = "".join(f"{3000 * k},{100 + k},{5 + k},0,1\n" for k in range(50))
    (folder / "conversation_slim.csv").write_text(
        "timestamp_ms,input_length,output_length,prefix_hit_blocks,blocks\n" + rows
    )
    scenario = SCENARIOS["mooncake.load.080"]
    worlds = [scenario.draw(101, path) for path in (tmp_path, folder, folder / "conversation_slim.csv")]
    assert {len(world) for world in worlds} == {50}
    with pytest.raises(TraceError, match=r"AzureLLMInferenceTrace_conv\.csv: No such file"):
        SCENARIOS["azure.load.080"].draw(101, tmp_path)
