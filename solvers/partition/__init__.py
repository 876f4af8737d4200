"""Partitions of one model over like accelerators and CPU cores: for throughput, and for the latency of one sample."""

from .solution import PartitionSolution as PartitionSolution
