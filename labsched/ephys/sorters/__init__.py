"""Sorters other than klusta, each in an environment of its own, run by SpikeInterface."""
