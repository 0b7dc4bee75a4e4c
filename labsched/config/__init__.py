"""The configuration: one TOML file, every key optional, an unknown one an error that names the nearest.

`examples/config.toml` shows all of it with comments.
"""

from labsched.config.file import load
from labsched.config.schema import Config, Daemon, Sort

__all__ = ["Config", "Daemon", "Sort", "load"]
