"""What each tenant may choose, once it is fixed who visits the accelerator and who is given part of the memory."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...formulation.compiled import njit
from .kernels import shared_service_us
from .tables import CO_COMPILED

FULL, PARTIAL, NONE = range(3)
"""How much of the memory that it could use a co-compiled tenant is given. Token residency: always full."""
_CELLS = 16
"""Ranges of bytes that a partial tenant's part of the memory is cut into."""


class Options(NamedTuple):
    """Choices j of every tenant i, padded.

    Attributes
    ----------
    choices : ndarray of int, shape (n,)
        How many there are.
    point, share : ndarray of int, shape (n, J)
        Partition point; `FULL`, `PARTIAL` or `NONE`.
    service_us, service_most_us : ndarray, shape (n, J)
        Least and most service; they differ for `PARTIAL` only, at the two ends of a range of bytes.
    reload_us : ndarray, shape (n, J)
    bytes, bytes_most : ndarray, shape (n, J)
        Least and most memory taken; they differ for `PARTIAL` only.
    """

    choices: NDArray[np.int64]
    point: NDArray[np.int64]
    share: NDArray[np.int64]
    service_us: NDArray[np.float64]
    service_most_us: NDArray[np.float64]
    reload_us: NDArray[np.float64]
    bytes: NDArray[np.float64]
    bytes_most: NDArray[np.float64]


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
    shared = tables.kind == CO_COMPILED
    most = longest * (_CELLS if shared else 1)
    choices = np.zeros(n, dtype=np.int64)
    point, share = np.zeros((n, most), dtype=np.int64), np.zeros((n, most), dtype=np.int64)
    service, service_most, reload = np.zeros((n, most)), np.zeros((n, most)), np.zeros((n, most))
    taken, taken_most = np.zeros((n, most)), np.zeros((n, most))
    for i in range(n):
        j = 0
        for k in range(longest):
            if not tables.runs[i, k] or (k > 0) != on[i]:
                continue
            usable = tables.usable_bytes[i, k]
            if shared and i == partial:
                for cell in range(_CELLS):
                    least, largest = usable * cell / _CELLS, usable * (cell + 1) / _CELLS
                    service[i, j] = shared_service_us(tables, i, k, largest)
                    if cell == _CELLS - 1 and tables.streaming_us_per_byte[i] < np.inf:
                        # Just short of all: what the first streamed byte costs is due.
                        service[i, j] += tables.streaming_first_us[i, k]
                    service_most[i, j] = min(shared_service_us(tables, i, k, least), 1e300)
                    if service[i, j] < np.inf and usable > 0.0:
                        point[i, j], share[i, j] = k, PARTIAL
                        taken[i, j], taken_most[i, j] = least, largest
                        j += 1
                continue
            point[i, j] = k
            if k > 0:
                service[i, j] = service_most[i, j] = tables.service_us[i, k]
                reload[i, j] = 0.0 if shared else tables.reload_us[i, k]
                taken[i, j] = taken_most[i, j] = usable if shared else 0.0
            j += 1
            if k > 0 and partial >= 0:
                without = shared_service_us(tables, i, k, 0.0)
                if without < np.inf and usable > 0.0:
                    point[i, j], share[i, j] = k, NONE
                    service[i, j] = service_most[i, j] = without
                    j += 1
        choices[i] = j
    return Options(choices, point, share, service, service_most, reload, taken, taken_most)
