"""The configuration: one TOML file, every key optional, an unknown one an error that names the nearest.

`examples/config.toml` shows all of it with comments.
"""

from labsched.config.file import Read, load, read
from labsched.config.schema import Config, Daemon, Limits, Prune, Sort

__all__ = ["Config", "Daemon", "Limits", "Prune", "Read", "Sort", "load", "read"]
