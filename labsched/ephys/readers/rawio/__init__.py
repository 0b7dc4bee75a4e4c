"""Formats that neo knows, read piece by piece through neo.rawio: the extra labsched[readers]."""
