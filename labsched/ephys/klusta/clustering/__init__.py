"""Stage 2's clustering: KlustaKwik2's answer to the last spike, from compiled loops, a process a shank, resumable."""
