"""Short pages of metrics: what each kind of server says, by its documentation; llama.cpp's as it was served here."""

VLLM = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="meta-llama/Llama-3.1-8B-Instruct"} 8.0
# HELP vllm:num_requests_waiting Number of requests waiting to be processed.
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="meta-llama/Llama-3.1-8B-Instruct"} 3.0
# TYPE vllm:num_requests_waiting_by_reason gauge
vllm:num_requests_waiting_by_reason{engine="0",model_name="meta-llama/Llama-3.1-8B-Instruct",reason="capacity"} 2.0
vllm:num_requests_waiting_by_reason{engine="0",model_name="meta-llama/Llama-3.1-8B-Instruct",reason="deferred"} 1.0
# HELP vllm:kv_cache_usage_perc KV-cache usage. 1 means 100 percent usage.
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0",model_name="meta-llama/Llama-3.1-8B-Instruct"} 0.61
# TYPE vllm:e2e_request_latency_seconds histogram
vllm:e2e_request_latency_seconds_sum{engine="0",model_name="meta-llama/Llama-3.1-8B-Instruct"} 12.5
vllm:e2e_request_latency_seconds_bucket{engine="0",le="0.3",model_name="meta-llama/Llama-3.1-8B-Instruct"} 1.0
vllm:e2e_request_latency_seconds_bucket{engine="0",le="+Inf",model_name="meta-llama/Llama-3.1-8B-Instruct"} 9.0
vllm:e2e_request_latency_seconds_count{engine="0",model_name="meta-llama/Llama-3.1-8B-Instruct"} 9.0
"""

RAY = """\
# TYPE ray_vllm_num_requests_running gauge
ray_vllm_num_requests_running{Component="core_worker",ReplicaId="a",WorkerId="w",engine="0",model_name="m"} 1
ray_vllm_num_requests_running{Component="core_worker",ReplicaId="b",WorkerId="v",engine="0",model_name="m"} 2
ray_vllm_num_requests_waiting{Component="core_worker",ReplicaId="a",WorkerId="w",engine="0",model_name="m"} 0
ray_vllm_kv_cache_usage_perc{Component="core_worker",ReplicaId="a",WorkerId="w",engine="0",model_name="m"} 0.2
ray_vllm_kv_cache_usage_perc{Component="core_worker",ReplicaId="b",WorkerId="v",engine="0",model_name="m"} 0.4
"""

SGLANG = """\
# TYPE sglang:num_running_reqs gauge
sglang:num_running_reqs{engine_type="unified",model_name="m",pp_rank="0",priority="",tp_rank="0"} 14.0
sglang:num_running_reqs{engine_type="unified",model_name="m",pp_rank="0",priority="-1",tp_rank="0"} 4.0
sglang:num_running_reqs{engine_type="unified",model_name="m",pp_rank="0",priority="0",tp_rank="0"} 10.0
sglang:num_running_reqs{engine_type="unified",model_name="m",pp_rank="0",priority="",tp_rank="1"} 14.0
# TYPE sglang:num_queue_reqs gauge
sglang:num_queue_reqs{dp_rank="0",model_name="m"} 2826.0
sglang:num_queue_reqs{dp_rank="1",model_name="m"} 4.0
# TYPE sglang:token_usage gauge
sglang:token_usage{model_name="m"} 0.28
# TYPE sglang:num_used_tokens gauge
sglang:num_used_tokens{model_name="m"} 123859.0
sglang:decode_sum_seq_lens{model_name="m",tp_rank="0"} 4400.0
"""

TRTLLM = """\
# HELP trtllm_num_requests_running Number of requests currently running
# TYPE trtllm_num_requests_running gauge
trtllm_num_requests_running{model_name="m",engine_type="trtllm"} 3.0
trtllm_num_requests_waiting{model_name="m",engine_type="trtllm"} 1.0
trtllm_kv_cache_utilization{model_name="m",engine_type="trtllm"} 0.62
"""

TRITON_TRTLLM = """\
# HELP nv_trt_llm_request_metrics TRT LLM request metrics
# TYPE nv_trt_llm_request_metrics gauge
nv_trt_llm_request_metrics{model="tensorrt_llm",request_type="context",version="1"} 1
nv_trt_llm_request_metrics{model="tensorrt_llm",request_type="scheduled",version="1"} 5
nv_trt_llm_request_metrics{model="tensorrt_llm",request_type="max",version="1"} 512
nv_trt_llm_request_metrics{model="tensorrt_llm",request_type="active",version="1"} 7
nv_trt_llm_request_metrics{model="tensorrt_llm",request_type="waiting",version="1"} 2
# TYPE nv_trt_llm_kv_cache_block_metrics gauge
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="tokens_per",model="tensorrt_llm",version="1"} 64
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="used",model="tensorrt_llm",version="1"} 1560
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="max",model="tensorrt_llm",version="1"} 6240
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="fraction",model="tensorrt_llm",version="1"} 0.25
"""

TRITON = """\
# TYPE nv_inference_exec_count counter
nv_inference_exec_count{model="resnet",version="1"} 4711
# TYPE nv_inference_pending_request_count gauge
nv_inference_pending_request_count{model="resnet",version="1"} 2
nv_inference_pending_request_count{model="bert",version="1"} 3
nv_gpu_utilization{gpu_uuid="GPU-0"} 0.5
nv_gpu_utilization{gpu_uuid="GPU-1"} 0.9
"""

LLAMA_CPP = """\
# HELP llamacpp:prompt_tokens_total Number of prompt tokens processed.
# TYPE llamacpp:prompt_tokens_total counter
llamacpp:prompt_tokens_total 36
# TYPE llamacpp:prompt_tokens_seconds gauge
llamacpp:prompt_tokens_seconds 64.8926
# TYPE llamacpp:requests_processing gauge
llamacpp:requests_processing 4
# TYPE llamacpp:requests_deferred gauge
llamacpp:requests_deferred 2
# TYPE llamacpp:n_busy_slots_per_decode gauge
llamacpp:n_busy_slots_per_decode 3.78571
"""

#: By format and page: what must come of it.
SAID = [
    ("vllm", VLLM, {"running": 8, "waiting": 3, "kv": 0.61, "waiting_capacity": 2, "waiting_deferred": 1}),
    ("vllm", RAY, {"running": 3, "waiting": 0, "kv": 0.3}),
    (
        "sglang",
        SGLANG,
        {"running": 14, "waiting": 2830, "kv": 0.28, "used_tokens": 123859, "decode_tokens": 4400},
    ),
    ("trtllm-serve", TRTLLM, {"running": 3, "waiting": 1, "kv": 0.62}),
    ("triton-tensorrt-llm", TRITON_TRTLLM, {"running": 5, "waiting": 2, "kv": 0.25}),
    ("triton", TRITON, {"waiting": 5, "gpu": 0.7}),
    ("llama-cpp", LLAMA_CPP, {"running": 4, "waiting": 2}),
]
