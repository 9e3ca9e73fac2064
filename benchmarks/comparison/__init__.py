"""Servers side by side under the same load: `python -m benchmarks.comparison`; `docs/performance.md` says how to read it.

`c/` is the load generator and a server in C, which `build.py` compiles; `servers/` are the servers; `scenarios.py` says how they are
loaded, `runner.py` does it, in rounds, each server and each load on a processor of its own; `results.py` keeps what was measured,
`report.py` and `plot.py` show it.
"""
