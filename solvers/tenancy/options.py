"""What each tenant may choose, once it is fixed who visits the accelerator and who is given part of the memory."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .kernels import shared_service_us
from .tables import CO_COMPILED

FULL, PARTIAL, NONE = range(3)
"""How much of the memory that it could use a co-compiled tenant is given. Token residency: always full."""


class Options(NamedTuple):
    """Choices j of every tenant i, padded.

    Attributes
    ----------
    choices : ndarray of int, shape (n,)
        How many there are.
    point, share : ndarray of int, shape (n, J)
        Partition point; `FULL`, `PARTIAL` or `NONE`.
    service_us, service_most_us : ndarray, shape (n, J)
        Least and most service; they differ for `PARTIAL` only: with all it could use, and with none of it.
    reload_us : ndarray, shape (n, J)
    bytes : ndarray, shape (n, J)
        Memory taken; 0 for `PARTIAL`.
    """

    choices: NDArray[np.int64]
    point: NDArray[np.int64]
    share: NDArray[np.int64]
    service_us: NDArray[np.float64]
    service_most_us: NDArray[np.float64]
    reload_us: NDArray[np.float64]
    bytes: NDArray[np.float64]


@njit(cache=True, nogil=True)
def options_of(on, partial, tables):
    """Choices for a set of tenants on the accelerator.

    Parameters
    ----------
    on : ndarray of bool, shape (n,)
    partial : int
        Co-compiled: the one tenant that is given what is left of the memory; those before it in the order have all
        they can use, those after it nothing. -1: everyone has all.
    tables : Tables
    """
    n, longest = tables.cpu_us.shape
    most = 2 * longest
    count = np.zeros(n, dtype=np.int64)
    point, share = np.zeros((n, most), dtype=np.int64), np.zeros((n, most), dtype=np.int64)
    service, service_most = np.zeros((n, most)), np.zeros((n, most))
    reload, taken = np.zeros((n, most)), np.zeros((n, most))
    shared = tables.kind == CO_COMPILED
    for i in range(n):
        j = 0
        for k in range(longest):
            if not tables.runs[i, k] or (k > 0) != on[i]:
                continue
            point[i, j] = k
            if k > 0:
                service[i, j] = service_most[i, j] = tables.service_us[i, k]
                if not shared:
                    reload[i, j] = tables.reload_us[i, k]
                elif i == partial:
                    share[i, j] = PARTIAL
                    # Without a streaming cost a part of the weights is not enough: it would have to have all.
                    service_most[i, j] = min(shared_service_us(tables, i, k, 0.0), 1e300)
                else:
                    taken[i, j] = tables.usable_bytes[i, k]
            j += 1
            if k > 0 and shared and partial >= 0 and i != partial:
                without = shared_service_us(tables, i, k, 0.0)
                if without < np.inf and tables.usable_bytes[i, k] > 0.0:
                    point[i, j], share[i, j] = k, NONE
                    service[i, j] = service_most[i, j] = without
                    j += 1
        count[i] = j
    return Options(count, point, share, service, service_most, reload, taken)
