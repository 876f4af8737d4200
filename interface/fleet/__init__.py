"""Many devices, many workloads: planned by many workers, and few plans for all."""
