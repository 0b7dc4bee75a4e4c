"""Stage 2's detection: what klusta's own finds, to the bit, from compiled loops in several processes, resumable."""
