"""Self-contained HTML pages of runs, sweeps and benchmarks."""
