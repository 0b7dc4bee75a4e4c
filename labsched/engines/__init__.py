"""Where a stage runs, and what stands by it while it does."""
