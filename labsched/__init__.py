"""labsched: a queue for one lab's server."""

__version__ = "0.1.0"
