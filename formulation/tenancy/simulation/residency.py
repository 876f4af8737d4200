"""What is in the accelerator's memory: compiled state machines of the residency policies."""

from __future__ import annotations

import numpy as np

from ...compiled import njit

SETS, LRU = range(2)
"""Policies as compiled code knows them; token residency is sets of one tenant each."""


@njit(cache=True, nogil=True)
def new_memory(n):
    """State of an empty memory: what was loaded when, by tenant, and two counters at the end, shape (n + 2,).

    Under `SETS` an entry is the visit of its set in which the tenant was loaded, the counters are the resident set and
    the number of its visit. Under `LRU` an entry is the last use, 0 if not resident; the counters are unused and uses.
    """
    memory = np.zeros(n + 2, dtype=np.int64)
    memory[n] = -1
    return memory


@njit(cache=True, nogil=True)
def touch(memory, policy, i, residency_set, resident_bytes, capacity_bytes):
    """Use tenant i's weights; returns whether they had to be loaded."""
    n = len(memory) - 2
    if policy == SETS:
        if memory[n] != residency_set[i]:
            memory[n] = residency_set[i]
            memory[n + 1] += 1
        missed = memory[i] != memory[n + 1]
        memory[i] = memory[n + 1]
        return missed
    memory[n + 1] += 1
    missed = memory[i] == 0
    if missed:
        free = capacity_bytes
        for j in range(n):
            if memory[j] > 0:
                free -= resident_bytes[j]
        while free < resident_bytes[i]:
            oldest = -1
            for j in range(n):
                if memory[j] > 0 and (oldest < 0 or memory[j] < memory[oldest]):
                    oldest = j
            if oldest < 0:
                break
            free += resident_bytes[oldest]
            memory[oldest] = 0
    memory[i] = memory[n + 1]
    return missed
