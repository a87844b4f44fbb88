"""Runs every benchmark program: `python -m benchmarks [--backend numpy|cupy] [--seconds S]`."""

from benchmarks.overhead import main

main()
