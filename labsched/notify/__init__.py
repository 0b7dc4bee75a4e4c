"""Telling people: what a message says, and the process that sends it. The daemon imports all but `sender`."""
