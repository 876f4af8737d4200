"""Formulas of queueing theory: response times under random arrivals.

- `swapping`: the wait for a server that swaps weights in, exact, bounded and in closed form; `moments` has the second
  moment, `percentiles` the distribution.
- `residency`: the same under every residency policy, from `presence`, who is in the memory.
- `multi_server` and `departures`: the wait for one of several cores, behind an accelerator or not.

Import the modules themselves: this package loads none of them, for they load numba.
"""
