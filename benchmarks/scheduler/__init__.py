"""The scheduler's own cost, part by part; `python -m benchmarks.scheduler` writes docs/performance.md.

`parts` has a module for each section of the page, `sides` one for each program that is measured.
"""
