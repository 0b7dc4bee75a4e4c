"""Stage 2: spike sorting by klusta 3.0.16, a subprocess with care."""
