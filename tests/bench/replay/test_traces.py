"""Recorded files: what each format says is read, and what is wrong is told in one line with file, row and reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.replay.__main__ import main
from bench.replay.rows import TraceError
from bench.replay.timm import read_accuracy, read_timm
from bench.replay.traces import (
    found,
    read_arrivals,
    read_azure,
    read_lmbench,
    read_mooncake,
    read_splitwise,
    read_vllm,
)
from tailwise.errors import TailwiseError

AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
MOONCAKE = "timestamp_ms,input_length,output_length,prefix_hit_blocks,blocks\n"
SPLITWISE = (
    "model,hardware,prompt_size,batch_size,token_size,prompt_time,token_time,e2e_time,tensor_parallel\n"
)
LMBENCH = "workload,target_qps,prompt_tokens,generation_tokens,ttft_s,generation_time_s,launch_s\n"
TIMM = "model,infer_img_size,infer_step_time,infer_batch_size,infer_gmacs,infer_macts\n"
VLLM = (
    '{"input_token_length": 48, "num_request_running": 2, "num_request_waiting": 1, "kv_cache_percentage": 0.01,'
    ' "prefill_tokens_in_flight": 64, "actual_ttft_ms": 455, "actual_tpot_ms": 0}\n'
)

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str, name: str = "trace.csv") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def test_azure_times_are_seconds_from_the_first(write: Write) -> None:
    """The file has seven digits of a second, over midnight here; read to 1 us (and float64 of the epoch, .3 us)."""
    path = write(AZURE + "2023-11-16 23:59:59.5000000,374,44\n2023-11-17 00:00:01.2500010,396,0\n")
    requests = read_azure(path)
    assert requests.arrival_s.tolist() == pytest.approx([0.0, 1.750001], abs=1e-6)
    assert requests.prompt_tokens.tolist() == [374.0, 396.0]
    assert requests.output_tokens.tolist() == [44.0, 0.0]
    assert requests.cached_tokens is None


def test_mooncake_stamps_of_one_tick_are_spread_over_it_in_order(write: Write) -> None:
    """Three jobs on the first tick, one on the second 3 s later, two on a third that is only 2 s later."""
    stamps = (0, 0, 0, 3000, 5000, 5000)
    requests = read_mooncake(
        write(MOONCAKE + "".join(f"{t},1000,{k},1,2\n" for k, t in enumerate(stamps, 1)))
    )
    assert requests.arrival_s.tolist() == pytest.approx([0.0, 1.0, 2.0, 3.0, 5.0, 6.5])
    assert requests.output_tokens.tolist() == [1, 2, 3, 4, 5, 6]


def test_mooncake_cached_tokens_are_its_blocks_but_never_more_than_the_prompt(write: Write) -> None:
    requests = read_mooncake(write(MOONCAKE + "0,1000,5,1,2\n3000,1000,5,2,2\n"))
    assert requests.cached_tokens is not None
    assert requests.cached_tokens.tolist() == [512.0, 1000.0]


def test_splitwise_leaves_out_power_capped_rows_and_reads_milliseconds(write: Write) -> None:
    trials = read_splitwise(
        write(SPLITWISE + "llama,h100-pcap,512,1,128,9,9,9,2\nllama,h100,512,1,128,200,50,6600,2\n")
    )
    assert trials.hardware == ["h100"]
    assert (trials.prompt_s[0], trials.token_s[0], trials.total_s[0]) == pytest.approx((0.2, 0.05, 6.6))
    assert trials.cards.tolist() == [2.0]


def test_lmbench_rows_come_by_stage_and_launch_whatever_their_order(write: Write) -> None:
    test = read_lmbench(
        write(LMBENCH + "chat,10,7,20,.3,1,0.5\nchat,9.5,8,20,.2,1,4\nchat,10,9,20,.1,1,0.25\n")
    )
    assert test.rate_per_s.tolist() == [9.5, 10.0, 10.0]
    assert test.launch_s.tolist() == [4.0, 0.25, 0.5]
    assert test.prompt_tokens.tolist() == [8.0, 9.0, 7.0]


def test_what_vllm_did_not_measure_is_unknown_not_zero(write: Write) -> None:
    seen = read_vllm(write(VLLM + VLLM.replace("455", "0").replace('tpot_ms": 0', 'tpot_ms": 12.5')))
    assert seen.ttft_s.tolist() == pytest.approx([0.455, np.nan], nan_ok=True)
    assert seen.tpot_s.tolist() == pytest.approx([np.nan, 0.0125], nan_ok=True)


def test_timm_folder_is_devices_with_seconds_an_image_and_best_accuracy(write: Write, tmp_path: Path) -> None:
    write(TIMM + "small,224,10,500,.5,2\nsmall,288,10,250,,\n", "benchmark-infer-fp32-cpu-i7-x.csv")
    write(TIMM + "small,224,1,500,.5,2\n", "benchmark-infer-amp-4090.csv")
    write("model,img_size,top1\nsmall.a_in1k,224,70\nsmall.b_in1k,224,80.5\n", "results-imagenet.csv")
    gpu, cpu = read_timm(tmp_path)
    assert (gpu.name, gpu.kind, cpu.kind) == ("amp-4090", "gpu", "cpu")
    assert cpu.image_s() == {("small", 224): pytest.approx(2e-5), ("small", 288): pytest.approx(4e-5)}
    assert cpu.gmacs.tolist() == pytest.approx([0.5, np.nan], nan_ok=True)
    assert read_accuracy(tmp_path) == {("small", 224): pytest.approx(0.805)}


@pytest.mark.parametrize("text", ["t_s\n1\n1.5\n4\n", "name,timestamp_ms\na,1000\nb,1500\nc,4000\n"])
def test_any_file_with_a_column_of_times_is_a_trace(write: Write, text: str) -> None:
    assert read_arrivals(write(text)).tolist() == pytest.approx([0.0, 0.5, 3.0])


def test_a_folder_stands_for_the_file_in_it(tmp_path: Path) -> None:
    (tmp_path / "azure").mkdir()
    file = tmp_path / "azure" / "conv.csv"
    file.write_text(AZURE)
    assert [found(path, "azure/conv.csv") for path in (tmp_path, tmp_path / "azure", file)] == [file] * 3


def _bad(read: Any, text: str, row: int | None, reason: str) -> Any:
    return pytest.param(read, text, row, reason, id=f"{read.__name__}: {reason}")


T = "2023-11-16 18:15:4"
BAD = [
    _bad(read_arrivals, "", None, "empty"),
    _bad(read_arrivals, "t_s\n", None, "no rows below the header"),
    _bad(read_arrivals, "time\n1\n2\n", 1, "no column of times; one of t_s, arrival_s"),
    _bad(read_arrivals, "t_s\n1\n", None, "two arrivals at different times"),
    _bad(read_arrivals, "t_s\n0\n2\n1\n", 4, "t_s is not sorted: earlier than row 3"),
    _bad(read_arrivals, "t_s\n0\n1\n\n1\n", 5, "t_s is a duplicate: the same time as row 3"),
    _bad(read_arrivals, "t_s,a\n0,a\n,b\n", 3, "t_s is missing"),
    _bad(read_arrivals, "t_s\n-1\n1\n", 2, "t_s -1 is negative"),
    _bad(read_arrivals, "t_s\n0\nnan\n", 3, "t_s nan is not finite"),
    _bad(read_arrivals, "t_s\n0\n1e999\n", 3, "t_s 1e999 is not finite"),
    _bad(read_arrivals, "t_s\n0\nlater\n", 3, "t_s 'later' is not a number"),
    _bad(read_arrivals, "t_s,a\n0,1\n1\n", 3, "1 fields where the header has 2"),
    _bad(read_arrivals, 't_s\n0\n"1\n', 3, "not CSV"),
    _bad(read_arrivals, "TIMESTAMP\n2023-11-16\nnoon\n", 3, "TIMESTAMP 'noon' is not a date and time"),
    _bad(
        read_azure, "TIMESTAMP,Tokens\n", 1, "no column ContextTokens, GeneratedTokens; there are TIMESTAMP"
    ),
    _bad(read_azure, f"{AZURE}{T}6,3,4\n{T}6,3,4\n", 3, "TIMESTAMP is a duplicate"),
    _bad(read_azure, f"{AZURE}{T}6,3,4\n{T}5,3,4\n", 3, "TIMESTAMP is not sorted"),
    _bad(read_azure, f"{AZURE}{T}6,3,4\n{T}7,3,-4\n", 3, "GeneratedTokens -4 is negative"),
    _bad(read_azure, f"{AZURE}{T}6,0,4\n{T}7,3,4\n", 2, "ContextTokens 0 is not above 0"),
    _bad(read_azure, f"{AZURE}{T}6,3,4\n{T}7,,4\n", 3, "ContextTokens is missing"),
    _bad(read_mooncake, MOONCAKE + "3000,9,9,0,1\n0,9,9,0,1\n", 3, "timestamp_ms is not sorted"),
    _bad(read_mooncake, MOONCAKE + "0,9,9,0,1\n0,9,9,0,1\n", None, "two arrivals at different times"),
    _bad(read_mooncake, MOONCAKE + "0,9,9,0,1\n3000,9,9,2,1\n", 3, "prefix_hit_blocks 2 of 1 blocks"),
    _bad(read_splitwise, SPLITWISE, None, "no rows below the header"),
    _bad(read_splitwise, SPLITWISE + "m,h-pcap,1,1,1,1,1,1,1\n", None, "only power-capped rows"),
    _bad(
        read_splitwise,
        SPLITWISE + "m,h-cap,1,1,1,1,1,1,1\nm,h,1,1,1,0,1,1,1\n",
        3,
        "prompt_time 0 is not above",
    ),
    _bad(read_lmbench, LMBENCH + "chat,1,7,20,.3,1,0\nchat,1,7,20,x,1,1\n", 3, "ttft_s 'x' is not a number"),
    _bad(read_lmbench, LMBENCH + "chat,0,7,20,.3,1,0\n", 2, "target_qps 0 is not above 0"),
    _bad(read_lmbench, LMBENCH + ",1,7,20,.3,1,0\n", 2, "workload is missing"),
    _bad(read_vllm, "\n", None, "empty"),
    _bad(read_vllm, VLLM + "{\n", 2, "not JSON"),
    _bad(read_vllm, VLLM + "[1]\n", 2, "input_token_length is missing"),
    _bad(read_vllm, VLLM.replace("64", "-64"), 1, "prefill_tokens_in_flight -64 is negative"),
    _bad(read_vllm, VLLM.replace("64", '"64"'), 1, "prefill_tokens_in_flight '64' is not a number"),
    _bad(read_vllm, VLLM.replace("455", "0"), 1, "one of actual_ttft_ms and actual_tpot_ms is to be above 0"),
    _bad(
        read_vllm, VLLM.replace('tpot_ms": 0', 'tpot_ms": 1'), 1, "one of actual_ttft_ms and actual_tpot_ms"
    ),
]


@pytest.mark.parametrize(("read", "text", "row", "reason"), BAD)
def test_one_line_says_file_row_and_reason(
    write: Write, read: Callable[[Path], object], text: str, row: int | None, reason: str
) -> None:
    path = write(text)
    with pytest.raises(TraceError) as raised:
        read(path)
    message = str(raised.value)
    assert raised.value.row == row
    assert message.startswith(f"trace {path}" + (f", row {row}: " if row else ": "))
    assert reason in message
    assert "\n" not in message
    assert isinstance(raised.value, TailwiseError)


@pytest.mark.parametrize("read", [read_arrivals, read_azure, read_vllm])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, read: Callable[[Path], object]) -> None:
    with pytest.raises(TraceError, match=r"none\.csv: No such file"):
        read(tmp_path / "none.csv")
    with pytest.raises(TraceError, match="Is a directory"):
        read(tmp_path)
    (tmp_path / "packed.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TraceError, match="not UTF-8"):
        read(tmp_path / "packed.csv")


def test_a_timm_folder_without_measurements_or_with_doubles_is_refused(write: Write, tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"benchmark-infer-\*\.csv files"):
        read_timm(tmp_path)
    write(TIMM + "small,224,10,500,.5,2\nsmall,224,10,250,.5,2\n", "benchmark-infer-a.csv")
    with pytest.raises(TraceError, match=r"benchmark-infer-a\.csv, row 3: a duplicate: small at 224"):
        read_timm(tmp_path)
    with pytest.raises(TraceError, match=r"results-imagenet\.csv: No such file"):
        read_accuracy(tmp_path)


@pytest.mark.parametrize(
    ("scenario", "text", "reason"),
    [
        ("azure.load.080", f"{AZURE}{T}6,3,4\n{T}5,3,4\n", "row 3: TIMESTAMP is not sorted"),
        ("mooncake.load.080", AZURE, "row 1: no column timestamp_ms"),
        ("splitwise.load.080", "", "empty"),
        ("lmbench.load.080", LMBENCH + "chat,1,7,20,,1,0\n", "row 2: ttft_s is missing"),
    ],
)
def test_the_replay_says_so_in_one_line_and_exits_with_2(
    write: Write, capsys: pytest.CaptureFixture[str], scenario: str, text: str, reason: str
) -> None:
    path = write(text)
    assert main([scenario, "--trace", str(path), "--seeds", "1"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert str(path) in said.err
    assert reason in said.err
