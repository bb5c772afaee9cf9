"""An OpenAI-compatible reverse proxy over several backends: `tailwise serve GATEWAY.toml`.

| files | what |
|---|---|
| config, models, tables | the file, validated |
| fleet, whole | what it describes: engine, journal, models by name; answers in one piece as a model of their own |
| app | from a request to its backend and back (ASGI) |
| job, openai, past | what a request tells before it runs, and what earlier ones left behind |
| answers | what an answer tells while it passes |
| client, headers, errors | the client's side |
| queue, written | requests that wait here for a slot |
| upstream, connections, rule, reports | the backends' side |
| server, protocol, operators | uvicorn: its two ports and its bounds |
"""

from tailwise.errors import MissingExtra

try:
    import httptools  # noqa: F401
    import httpx2  # noqa: F401
    import prometheus_client  # noqa: F401
    import starlette  # noqa: F401
    import uvicorn  # noqa: F401
except ImportError as error:
    raise MissingExtra(
        f"tailwise.adapters.gateway needs {error.name}: pip install 'tailwise[gateway]'"
    ) from error

from tailwise.adapters.gateway.config import Gateway, load

__all__ = ["Gateway", "load"]
