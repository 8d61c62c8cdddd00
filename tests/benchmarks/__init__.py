"""Benchmarks: gradients by hand, by tracegrad and by its peers.

`python -m tests.benchmarks` prints one table per question. A workload is one file in
`workloads/`; adding a file adds it to every table and to the tests.
"""
