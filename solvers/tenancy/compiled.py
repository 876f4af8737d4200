"""Gets the compiled search loops ready, so that compiling them does not count against a time limit."""

from __future__ import annotations

from functools import cache

import numpy as np

from ...formulation import Accelerator, TenancyProblem, Tenant
from .descent import descend, descend_by_pairs, improve_order
from .search_space import SearchSpace
from .slice_search import search_slice
from .slices import slice_bound, slice_choice


@cache
def compile_search() -> None:
    """Run every loop once on a small problem: tens of seconds the first time ever, for the code is kept."""
    tenant = Tenant.create("one", [0, 1.0], [2.0, 0], [0, 1])
    device = Accelerator.model_validate({"name": "any", "weight_capacity_bytes": 1})
    space = SearchSpace.of(TenancyProblem.create([tenant], [1.0], device, 1))
    rate, tables, waits = space.rate, space.tables, space.waits
    point, order, on = np.ones(1, dtype=np.int64), np.zeros(1, dtype=np.int64), np.ones(1, dtype=np.bool_)
    space.total(point, order)
    total = descend(rate, point, order, tables, waits)
    descend_by_pairs(rate, point, order, tables, waits, total)
    improve_order(rate, point, order, tables, waits)
    slice_bound(rate, on, -1, 0.0, 1.0, tables, waits, np.inf)
    slice_choice(rate, on, 0.0, 1.0, 0.0, 0.0, tables, waits, point)
    search_slice(rate, on, -1, 0.0, 1.0, 0.0, 0.0, tables, waits, total, point, order, 10)
