"""Solvers of throughput problems: batches, instances and placement."""
