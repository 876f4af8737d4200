"""Costs of a chain that add up layer by layer: all that an exact front needs to know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...formulation import CostError, capped

Third = Literal["none", "sum", "max"]
"""What becomes of a third figure: there is none, it adds up (energy), or the largest counts (workspace)."""


@dataclass(frozen=True, eq=False)
class ChainCosts:
    """Costs of n layers in a row under C configurations. Make them with `ChainCosts.of`.

    Attributes
    ----------
    layer_us : ndarray, shape (n, C)
        Infinite where a configuration cannot run a layer.
    layer_bytes : ndarray, shape (n, C)
        Bytes kept resident for each layer.
    enter_us, enter_bytes : ndarray, shape (n, C, C)
        Entry (i, s, c): to go from configuration s to c before layer i; on the diagonal to stay, which is free. Layer
        0 is entered from outside, the same from every s.
    end_us : ndarray, shape (C,)
        After the last layer.
    layer_third : ndarray, shape (n, C)
    enter_third : ndarray, shape (n, C, C)
    third : {'none', 'sum', 'max'}
    """

    layer_us: NDArray[np.float64]
    layer_bytes: NDArray[np.float64]
    enter_us: NDArray[np.float64]
    enter_bytes: NDArray[np.float64]
    end_us: NDArray[np.float64]
    layer_third: NDArray[np.float64]
    enter_third: NDArray[np.float64]
    third: Third = "none"

    @classmethod
    def of(
        cls,
        latency_us: ArrayLike,
        memory_bytes: ArrayLike,
        *,
        switch_us: ArrayLike = 0.0,
        fixed_us: ArrayLike = 0.0,
        fixed_bytes: ArrayLike = 0.0,
        start_us: ArrayLike = 0.0,
        end_us: ArrayLike = 0.0,
        third: ArrayLike | None = None,
        fixed_third: ArrayLike = 0.0,
        third_is: Third = "sum",
    ) -> ChainCosts:
        """Check and complete costs; see `chain_front` for the parameters.

        Raises
        ------
        CostError
            A wrong shape; a negative cost; memory that is not finite; a layer that no configuration can run.
        """
        us = np.array(latency_us, dtype=np.float64)
        if us.ndim != 2 or us.size == 0:
            raise CostError(
                "latency_us", expected="shape (layers, configurations)", got=f"shape {us.shape}", remedy="Give a table."
            )
        n, width = us.shape
        us[np.isnan(us)] = np.inf
        missing = np.flatnonzero(np.all(np.isinf(us), axis=1))
        if len(missing):
            raise CostError(
                "latency_us",
                expected="a configuration that runs each layer",
                got=f"none for layers {capped(missing)}",
                remedy="Add a configuration that runs these layers.",
            )
        held = _table("memory_bytes", memory_bytes, (n, width))
        third_of = _table("third", 0.0 if third is None else third, (n, width))
        fixed = _table("fixed_us", fixed_us, (width,))
        enter_us = _table("switch_us", switch_us, (n, width, width), finite=False) + fixed
        enter_us[0] = _table("start_us", start_us, (width,), finite=False) + fixed
        enter_bytes = np.broadcast_to(_table("fixed_bytes", fixed_bytes, (width,)), (n, width, width)).copy()
        enter_third = np.broadcast_to(_table("fixed_third", fixed_third, (width,)), (n, width, width)).copy()
        stay = np.arange(width)
        for enter in (enter_us, enter_bytes, enter_third):
            enter[1:, stay, stay] = 0.0
        _refuse_negative("latency_us", us)
        kind: Third = "none" if third is None else third_is
        ends = _table("end_us", end_us, (width,), finite=False)
        return cls(us, held, enter_us, enter_bytes, ends, third_of, enter_third, kind)

    @property
    def n_layers(self) -> int:
        """Number n of layers."""
        return self.layer_us.shape[0]

    @property
    def n_configurations(self) -> int:
        """Number C of configurations."""
        return self.layer_us.shape[1]

    def replace_third(self, layer_third: NDArray[np.float64], third: Third) -> ChainCosts:
        """Copy with another third figure."""
        values: dict[str, Any] = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return ChainCosts(**(values | {"layer_third": layer_third, "third": third}))

    def with_constant_bytes(self, n_bytes: float) -> ChainCosts:
        """Copy without a third figure, in which every way keeps so many bytes more."""
        values: dict[str, Any] = {name: getattr(self, name) for name in self.__dataclass_fields__}
        layer_bytes = self.layer_bytes.copy()
        layer_bytes[0] += n_bytes
        return ChainCosts(**(values | {"layer_bytes": layer_bytes, "third": "none"}))

    def to_go(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Least latency and least memory from after layer i under configuration c to the end, each shape (n, C)."""
        latency = np.empty((self.n_layers, self.n_configurations))
        memory = np.empty_like(latency)
        latency[-1], memory[-1] = self.end_us, np.where(np.isfinite(self.end_us), 0.0, np.inf)
        for i in range(self.n_layers - 1, 0, -1):
            runs = np.isfinite(self.layer_us[i])
            us = self.enter_us[i] + (self.layer_us[i] + latency[i])
            held = np.where(
                runs & np.isfinite(self.enter_us[i]), self.enter_bytes[i] + self.layer_bytes[i] + memory[i], np.inf
            )
            latency[i - 1], memory[i - 1] = us.min(axis=1), held.min(axis=1)
        return latency, memory

    def figures(self, choices: NDArray[np.integer]) -> NDArray[np.float64]:
        """Latency, memory and third figure (0 without one) of some ways, shape (p, 3).

        Parameters
        ----------
        choices : ndarray of int, shape (p, n)
        """
        rows = np.asarray(choices, dtype=np.int64)
        result = np.zeros((len(rows), 3))
        for i in range(self.n_layers):
            c, s = rows[:, i], rows[:, max(i - 1, 0)]
            result[:, 0] = (result[:, 0] + self.enter_us[i, s, c]) + self.layer_us[i, c]
            result[:, 1] = (result[:, 1] + self.enter_bytes[i, s, c]) + self.layer_bytes[i, c]
            if self.third == "sum":
                result[:, 2] = (result[:, 2] + self.enter_third[i, s, c]) + self.layer_third[i, c]
            elif self.third == "max":
                result[:, 2] = np.maximum(result[:, 2], self.layer_third[i, c])
        result[:, 0] += self.end_us[rows[:, -1]]
        return result

    def sums_are_exact(self) -> bool:
        """Whether memory sums carry no rounding: all are multiples of one power of two, and small enough."""
        values = np.concatenate([self.layer_bytes.ravel(), self.enter_bytes.ravel()])
        total = self.layer_bytes.max(axis=1).sum() + self.enter_bytes.max(axis=(1, 2)).sum()
        return any(
            total * 2.0**bits < 2.0**53 and not np.any(np.mod(values * 2.0**bits, 1.0)) for bits in (0, 8, 16, 24)
        )


def _table(name: str, values: ArrayLike, shape: tuple[int, ...], finite: bool = True) -> NDArray[np.float64]:
    try:
        table = np.broadcast_to(np.asarray(values, dtype=np.float64), shape).copy()
    except ValueError as error:
        raise CostError(
            name,
            expected=f"one number, or numbers of shape {shape}",
            got=f"shape {np.shape(values)}",
            remedy="Give one row a layer and one column a configuration.",
        ) from error
    _refuse_negative(name, table)
    if finite and not np.all(np.isfinite(table)):
        raise CostError(name, expected="finite numbers", got="infinite ones", remedy="Leave out what cannot run.")
    return table


def _refuse_negative(name: str, values: NDArray[np.float64]) -> None:
    if np.any(np.isnan(values) | (values < 0)):
        bad = values[np.isnan(values) | (values < 0)]
        raise CostError(name, expected="numbers of 0 or more", got=capped(bad), remedy="Measure again.")
