"""The queue from Python: `Client`, `AsyncClient`, and the jobs that they hand out.

Nothing is imported before it is asked for: the command line uses parts of this room, and has to be instant.
"""

import importlib

TYPE_CHECKING = False  # of `typing`, which takes a millisecond to import

if TYPE_CHECKING:
    from labsched.client.aio import AsyncClient, AsyncJob
    from labsched.client.jobs import Job, Jobs, Results
    from labsched.client.sync import Client

__all__ = ["AsyncClient", "AsyncJob", "Client", "Job", "Jobs", "Results"]
_ROOMS = {"AsyncClient": "aio", "AsyncJob": "aio", "Client": "sync", "Job": "jobs", "Jobs": "jobs", "Results": "jobs"}


def __getattr__(name: str) -> object:
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_ROOMS[name]}"), name)
