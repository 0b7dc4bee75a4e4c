"""The decisions: pure functions over frozen values. No clock, no disk, no randomness; time comes in as an argument."""
