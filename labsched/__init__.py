"""labsched: a queue for one lab's server."""

TYPE_CHECKING = False  # of `typing`, which takes a millisecond to import
if TYPE_CHECKING:
    from labsched.client import AsyncClient, Client

__version__ = "0.1.0"
__all__ = ["AsyncClient", "Client", "__version__"]


def __getattr__(name: str) -> object:
    if name not in ("AsyncClient", "Client"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib  # by its name: else whatever imports labsched would import all of them

    return getattr(importlib.import_module("labsched.client"), name)
