"""A finished sorting in other programs' formats: phy's, NWB, SpikeInterface's. One module a format."""
