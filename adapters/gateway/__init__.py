"""An OpenAI-compatible reverse proxy over several backends: `tailwise serve GATEWAY.toml`.

config.py, models.py, tables.py   the file, validated
fleet.py                          what it describes: engine, journal, models by name
app.py                            from a request to its backend and back (ASGI)
job.py, openai.py                 what a request tells before it runs
answers.py                        what an answer tells while it passes
client.py, headers.py, errors.py  the client's side
upstream.py, rule.py              the backends' side
server.py, protocol.py            uvicorn, its two ports and its bounds
"""

from tailwise.errors import MissingExtra

try:
    import httptools  # noqa: F401
    import httpx2  # noqa: F401
    import starlette  # noqa: F401
    import uvicorn  # noqa: F401
except ImportError as error:
    raise MissingExtra(
        f"tailwise.adapters.gateway needs {error.name}: pip install 'tailwise[gateway]'"
    ) from error

from tailwise.adapters.gateway.config import Gateway, load

__all__ = ["Gateway", "load"]
