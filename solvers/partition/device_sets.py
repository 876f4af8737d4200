"""The most valuable set of groups for one accelerator: a dynamic program along a linear arrangement.

State of a label: for each open net whether all its groups so far are in the set, none, or some, in which case its cost
is paid. A label also has the load so far and the value so far; of two labels in one state, one that has more load and
no more value is dropped. Resource-constrained pricing: Desaulniers et al. 2005, doi 10.1007/b135457.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...formulation.compiled import njit
from .arrangement import arrangement
from .reduced import Reduced

_SLOTS = 32
"""Most nets open at a time: a state is 64 bits."""

_GRID = 128
_SETS = 12
"""Most sets returned at a time."""

_MOST_LABELS = 4_000_000


@njit(cache=True, nogil=True)
def _remaining(ratio_order, position, time, value, limit, grid):
    """Fractional knapsack: most value of the groups from a position on within a capacity, shape (g + 1, grid + 1)."""
    g = len(time)
    table = np.zeros((g + 1, grid + 1))
    for t in range(g):
        c = 0
        used, worth = 0.0, 0.0
        for j in range(g):
            v = ratio_order[j]
            if position[v] < t or value[v] <= 0.0 or not time[v] <= limit:
                continue
            while c <= grid and used + time[v] > limit * c / grid:
                table[t, c] = worth + (value[v] * (limit * c / grid - used) / time[v] if time[v] > 0.0 else 0.0)
                c += 1
            used += time[v]
            worth += value[v]
        while c <= grid:
            table[t, c] = worth
            c += 1
    return table


@njit(cache=True, nogil=True)
def _price(order, net_row, net_slot, net_role, net_price, time, value, limit, least, slack, remaining, most, stopped):
    """Label every set of groups whose load stays within `limit` and whose value can still exceed `least`.

    Returns
    -------
    parent, chosen : ndarray
        Of all labels of all positions.
    first, last : int
        Labels of finished sets.
    worth : ndarray
        Value of each finished set.
    complete : bool
        Whether none was left out.
    """
    g = len(order)
    grid = remaining.shape[1] - 1
    room = 1 << 14
    parent = np.full(room, -1, dtype=np.int64)
    chosen = np.zeros(room, dtype=np.bool_)
    n = 1
    first = 0
    key = np.zeros(1, dtype=np.uint64)
    load = np.zeros(1)
    worth = np.zeros(1)
    three = np.uint64(3)
    for t in range(g):
        v = order[t]
        m = len(key)
        if stopped[0] or n + 2 * m > most:
            return parent, chosen, first, n, worth, False
        new_key = np.empty(2 * m, dtype=np.uint64)
        new_load = np.empty(2 * m)
        new_worth = np.empty(2 * m)
        source = np.empty(2 * m, dtype=np.int64)
        taken = np.empty(2 * m, dtype=np.bool_)
        count = 0
        for i in range(m):
            for x in range(2):
                if x == 1 and not time[v] <= limit:
                    continue
                total = load[i] + (time[v] if x == 1 else 0.0)
                k = key[i]
                for r in range(net_row[t], net_row[t + 1]):
                    shift = np.uint64(2 * net_slot[r])
                    state = (k >> shift) & three
                    if net_role[r] == 0:
                        state = np.uint64(x)
                    elif state != np.uint64(2) and state != np.uint64(x):
                        state = np.uint64(2)
                        total += net_price[r]
                    k &= ~(three << shift)
                    if net_role[r] != 2:
                        k |= state << shift
                if total > limit:
                    continue
                gained = worth[i] + (value[v] if x == 1 else 0.0)
                c = min(grid, int((limit - total) / limit * grid) + 1)
                if gained + remaining[t + 1, c] <= least:
                    continue
                new_key[count] = k
                new_load[count] = total
                new_worth[count] = gained
                source[count] = first + i
                taken[count] = x == 1
                count += 1
        if count == 0:
            return parent, chosen, n, n, worth[:0], True
        by_load = np.argsort(new_load[:count], kind="mergesort")
        by_key = by_load[np.argsort(new_key[:count][by_load], kind="mergesort")]
        kept = np.empty(count, dtype=np.int64)
        n_kept = 0
        best = -np.inf
        for j in range(count):
            i = by_key[j]
            if j == 0 or new_key[i] != new_key[by_key[j - 1]]:
                best = -np.inf
            if new_worth[i] > best + slack:
                best = new_worth[i]
                kept[n_kept] = i
                n_kept += 1
        kept = kept[:n_kept]
        while n + n_kept > room:
            parent = np.concatenate((parent, np.full(room, -1, dtype=np.int64)))
            chosen = np.concatenate((chosen, np.zeros(room, dtype=np.bool_)))
            room *= 2
        for j in range(n_kept):
            parent[n + j] = source[kept[j]]
            chosen[n + j] = taken[kept[j]]
        first = n
        n += n_kept
        key = new_key[kept]
        load = new_load[kept]
        worth = new_worth[kept]
    return parent, chosen, first, n, worth, True


@dataclass(frozen=True, eq=False)
class DeviceSets:
    """Prices sets of groups of one reduced problem.

    Attributes
    ----------
    groups : Reduced
    order : ndarray of int, shape (g,)
    position : ndarray of int, shape (g,)
    net_row, net_slot, net_role : ndarray of int
        By position: the nets of its group, the slot of each in a state, and whether the group is its first (0), its
        last (2) or another (1).
    net_price : ndarray
    """

    groups: Reduced
    order: NDArray[np.int64]
    position: NDArray[np.int64]
    net_row: NDArray[np.int64]
    net_slot: NDArray[np.int64]
    net_role: NDArray[np.int64]
    net_price: NDArray[np.float64]

    @classmethod
    def of(cls, groups: Reduced) -> DeviceSets | None:
        """Arrange the groups; None where too many nets are open at a time."""
        order = arrangement(groups)
        position = np.empty_like(order)
        position[order] = np.arange(len(order))
        ends = [np.sort(position[groups.pins[e]]) for e in range(groups.n_nets)]
        slot = np.full(groups.n_nets, -1, dtype=np.int64)
        free = list(range(_SLOTS))[::-1]
        rows, slots, roles, prices = [0], [], [], []
        for t, v in enumerate(order):
            for e in groups.nets[int(v)]:
                if ends[e][0] == t:
                    if not free:
                        return None
                    slot[e] = free.pop()
                slots.append(slot[e])
                roles.append(0 if ends[e][0] == t else 2 if ends[e][-1] == t else 1)
                prices.append(groups.net_cost[e])
            for e in groups.nets[int(v)]:
                if ends[e][-1] == t:
                    free.append(int(slot[e]))
            rows.append(len(slots))
        return cls(
            groups,
            order,
            position,
            np.array(rows, dtype=np.int64),
            np.array(slots, dtype=np.int64),
            np.array(roles, dtype=np.int64),
            np.array(prices, dtype=np.float64),
        )

    def best(
        self, value: NDArray[np.float64], limit: float, least: float, loss: float, stopped: NDArray[np.bool_]
    ) -> list[NDArray[np.int64]] | None:
        """Valuable sets with a load of at most `limit`.

        Parameters
        ----------
        value : ndarray, shape (g,)
        limit, least : float
        loss : float
            Value that a set may lose, all positions together, by dropping labels that are hardly worth more.
        stopped : ndarray of bool, shape (1,)

        Returns
        -------
        list of ndarray or None
            Some sets worth more than `least`, the most valuable one first. Empty: no set is worth more than `least`
            plus `loss`. None: too many labels, or stopped.
        """
        time = self.groups.accelerator
        ratio = np.divide(value, time, out=np.where(value > 0, np.inf, 0.0), where=time > 0)
        remaining = _remaining(np.argsort(-ratio, kind="stable"), self.position, time, value, limit, _GRID)
        parent, chosen, first, last, worth, complete = _price(
            self.order,
            self.net_row,
            self.net_slot,
            self.net_role,
            self.net_price,
            time,
            value,
            limit,
            least,
            loss / len(self.order),
            remaining,
            _MOST_LABELS,
            stopped,
        )
        if not complete:
            return None
        found = []
        for i in np.argsort(-worth, kind="stable")[:_SETS] if last > first else []:
            members, at = [], first + int(i)
            for t in range(len(self.order) - 1, -1, -1):
                if chosen[at]:
                    members.append(int(self.order[t]))
                at = int(parent[at])
            found.append(np.array(members, dtype=np.int64))
        return found
