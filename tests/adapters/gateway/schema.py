"""The gateway's routes as a small OpenAPI document, from which requests are drawn."""

from __future__ import annotations

from typing import Any

__all__ = ["SCHEMA"]

_MS = {"type": "string"}
_HEADERS = [
    {"name": name, "in": "header", "required": False, "schema": schema}
    for name, schema in (
        ("x-tailwise-class", {"type": "string", "enum": ["chat", "batch", "none"]}),
        ("x-tailwise-deadline-ms", _MS),
        ("x-llm-d-slo-ttft-ms", _MS),
        ("x-session-id", {"type": "string"}),
        ("x-tailwise-model", {"type": "string"}),
    )
]
_CONTENT = {
    "oneOf": [
        {"type": "string"},
        {"type": "null"},
        {"type": "array", "items": {"type": "object", "properties": {"text": {"type": "string"}}}},
    ]
}
_MODEL = {"type": "string", "enum": ["llama", "default", "none"]}
_MESSAGE = {"type": "object", "properties": {"role": {"type": "string"}, "content": _CONTENT}}
_COMMON = {"model": _MODEL, "stream": {"type": "boolean"}, "max_tokens": {"type": "integer"}}


def _post(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    body = {"type": "object", "properties": {**_COMMON, **properties}, "required": ["model", *required]}
    return {
        "post": {
            "parameters": _HEADERS,
            "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
            "responses": {"default": {"description": "an answer"}},
        }
    }


_GET: dict[str, Any] = {"responses": {"default": {"description": "an answer"}}}
_NAMED = {"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}

SCHEMA: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "tailwise serve", "version": "1"},
    "paths": {
        "/v1/chat/completions": _post({"messages": {"type": "array", "items": _MESSAGE}}, ["messages"]),
        "/v1/completions": _post({"prompt": {"type": ["string", "array"]}}, ["prompt"]),
        "/v1/embeddings": _post({"input": {"type": ["string", "array"]}}, ["input"]),
        "/v1/models": {"get": _GET},
        "/v1/models/{model}": {"get": {**_GET, "parameters": [_NAMED]}},
        "/healthz": {"get": _GET},
    },
}
