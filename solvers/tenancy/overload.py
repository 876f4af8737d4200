"""Loads that no allocation can serve, proven without search."""

from __future__ import annotations

import numpy as np

from .search_space import SearchSpace


def least_utilisation(space: SearchSpace) -> float:
    """Least utilisation of the accelerator that keeps every suffix stable on the cores there are.

    A lower bound for every allocation: each tenant is taken to have the whole memory to itself and nothing to be
    reloaded. Dynamic program over tenants and cores, ``load[c]``: least utilisation with at most c cores.

    Parameters
    ----------
    space : SearchSpace

    Returns
    -------
    float
        1 or more where no allocation is stable; ∞ where the cores alone are too few.
    """
    tables, rate = space.tables, space.rate
    load = np.zeros(tables.cores + 1)
    for i in range(len(rate)):
        stable = np.isfinite(space.waits[i]).any(axis=2) | (tables.cpu_us[i] == 0)[:, None]
        stable &= tables.runs[i][:, None]
        own = np.where(stable, (rate[i] * tables.service_us[i])[:, None], np.inf).min(axis=0)
        load = np.array([np.min(own[: c + 1] + load[c::-1]) for c in range(tables.cores + 1)])
    return float(load[-1])
