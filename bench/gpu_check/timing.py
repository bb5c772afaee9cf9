"""What a job takes: as the worker times it, through the executor, and joined with others."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable
from concurrent.futures import wait

import torch

import tailwise as tw
from bench.gpu_check.scene import Row, Scene
from bench.turns import in_turns
from tailwise.adapters.torch import Executor, Outcome, Thread

__all__ = ["batching", "events", "overhead"]

#: Images of a job of the overhead's, and what joined jobs may have together.
BATCH, MAX_ITEMS = 8, 8
PATIENT = tw.QoS("patient", deadline_s=600.0)


def bare(scene: Scene, module: torch.nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    """A call there and back, waited for."""
    module = module.to(scene.device)

    def call(x: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return module(x.to(scene.device)).cpu()  # type: ignore[no-any-return]

    return call


def events(scene: Scene) -> list[Row]:
    """The worker's own time of a job (on CUDA by events) against the time of a loop that synchronises."""
    x = scene.images(1)
    worker, call = Thread(scene.device).build("device"), bare(scene, scene.network())
    worker.start({"net": scene.network()})

    def timed() -> float:
        over: threading.Semaphore = threading.Semaphore(0)
        outcomes: list[Outcome] = []

        def done(outcome: Outcome) -> None:
            outcomes.append(outcome)
            over.release()

        worker.submit("net", [(x,)], done)
        over.acquire()
        return (outcomes[0].end_ns - outcomes[0].start_ns) * 1e-6

    def synchronised() -> float:
        _synchronise(scene)
        begin_ns = time.perf_counter_ns()
        call(x)
        _synchronise(scene)
        return (time.perf_counter_ns() - begin_ns) * 1e-6

    try:
        runs = {"worker": timed, "loop": synchronised}
        times = in_turns(runs, range(scene.rounds * scene.n_jobs))
    finally:
        worker.close()
    ratio = statistics.median(w / s for w, s in zip(times["worker"], times["loop"], strict=True))
    return [
        Row("timing", "a job by the worker's clock", statistics.median(times["worker"]), "ms"),
        Row("timing", "the same call, synchronised", statistics.median(times["loop"]), "ms"),
        Row("timing", "worker's / synchronised", ratio, ""),
    ]


def overhead(scene: Scene) -> list[Row]:
    """The executor with jobs in flight against a bare loop, for the network and for a module that takes no time."""
    torch.manual_seed(0)
    small = torch.nn.Linear(64, 64)
    cases = {
        "net": (scene.network(), scene.images(BATCH), scene.n_jobs // 4),
        "small": (small, torch.rand(1, 64), 200),
    }
    models = {name: module for name, (module, _, _) in cases.items()}
    rows = []
    with executor(scene, [tw.Model(name) for name in models], models) as ex:
        for name, (module, x, n) in cases.items():
            loop = bare(scene, module)
            through = _through(ex, name, x, n)
            times = in_turns(
                {"loop": lambda: _seconds(_loop(loop, x, n)), "executor": lambda: _seconds(through)},  # noqa: B023
                range(4 * scene.rounds),
            )
            pairs = list(zip(times["executor"], times["loop"], strict=True))
            if name == "net":
                lost = statistics.median(1.0 - b / e for e, b in pairs)
                figure = f"throughput lost, jobs of {BATCH} images"
                rows.append(Row("overhead", figure, 100.0 * lost, "%", "< 5"))
            else:
                over_s = statistics.median((e - b) / n for e, b in pairs)
                rows.append(Row("overhead", "a job over a bare loop, 1x64", 1e6 * over_s, "us", "< 20"))
    return rows


def batching(scene: Scene) -> list[Row]:
    """Jobs of one image, waiting: joined or one by one."""
    model = tw.Model("net", features=(tw.Feature("images", typical=4, knee=True),), items="images")
    x, n = scene.images(1), 2 * scene.n_jobs
    ways = {"alone": None, "joined": {"net": tw.Batching(max_items=MAX_ITEMS)}}
    with (
        executor(scene, [model], {"net": scene.network()}, batching=ways["alone"]) as alone,
        executor(scene, [model], {"net": scene.network()}, batching=ways["joined"]) as joined,
    ):
        sizes: list[int] = []

        def together() -> float:
            return _seconds(_through(joined, "net", x, n, (1.0,), sizes))

        runs = {"alone": lambda: _seconds(_through(alone, "net", x, n, (1.0,))), "joined": together}
        times = in_turns(runs, range(scene.rounds))
    gain = statistics.median(a / j for a, j in zip(times["alone"], times["joined"], strict=True))
    return [
        Row("batching", f"throughput joined (at most {MAX_ITEMS}) / alone", gain, ""),
        Row("batching", "jobs in the run that served a job", statistics.mean(sizes), ""),
    ]


def executor(
    scene: Scene,
    models: list[tw.Model],
    sources: dict[str, torch.nn.Module],
    slots: int = 1,
    **options: object,
) -> Executor:
    """One resource, the device."""
    engine = tw.Engine([tw.Resource("device", slots=slots)], models, [PATIENT], seed=1)
    return Executor(engine, sources, {"device": Thread(scene.device, slots)}, **options)  # type: ignore[arg-type]


def _through(
    ex: Executor,
    model: str,
    x: torch.Tensor,
    n: int,
    features: tuple[float, ...] | None = None,
    sizes: list[int] | None = None,
) -> Callable[[], None]:
    """n jobs, all in flight at once. sizes: takes how many were served together, of each job."""

    def run() -> None:
        futures = [ex.submit(model, PATIENT.name, x, features=features) for _ in range(n)]
        wait(futures)
        for future in futures:
            future.result()
            assert future.record is not None
            if sizes is not None:
                sizes.append(future.record.n_joined)

    return run


def _loop(call: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, n: int) -> Callable[[], None]:
    def run() -> None:
        for _ in range(n):
            call(x)

    return run


def _seconds(run: Callable[[], None]) -> float:
    begin_ns = time.perf_counter_ns()
    run()
    return (time.perf_counter_ns() - begin_ns) * 1e-9


def _synchronise(scene: Scene) -> None:
    if scene.cuda:
        torch.cuda.synchronize(scene.device)
