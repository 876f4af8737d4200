"""Models that tenants are asked for: a file, its graph, and where it may be cut between accelerator and CPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...formulation import LayerGraph, StalePlanError, WorkloadError, capped, cut_chain
from ...formulation.tenancy import TenancyProblem
from ...profiles import import_onnx


@dataclass(frozen=True, eq=False)
class TenantModel:
    """A model with its partition points.

    Attributes
    ----------
    name : str
        Of the tenant.
    path : Path
        ONNX file.
    graph : LayerGraph
    positions : tuple of int
        Ascending from 0 to the number of layers. At partition point k the accelerator runs layers before
        ``positions[k]``.
    """

    name: str
    path: Path
    graph: LayerGraph
    positions: tuple[int, ...]

    @classmethod
    def read(cls, name: str, path: Path, max_points: int = 12, positions: Sequence[int] | None = None) -> TenantModel:
        """Read a model; cuts are where a single tensor crosses, evenly many layers apart.

        Parameters
        ----------
        name : str
        path : Path
        max_points : int
            Most partition points, the two ends counted; 2 or more.
        positions : sequence of int, optional
            Cuts to use instead.

        Raises
        ------
        ModelError, GraphError
            The file is no model that can be cut.
        """
        graph = import_onnx(path, name=name)
        if positions is None:
            positions = cut_chain(graph, max_units=max_points - 1).positions
        return cls(name, path, graph, tuple(positions))

    @property
    def point_names(self) -> tuple[str, ...]:
        """For each partition point the last layer on the accelerator."""
        return ("none", *(self.graph.layers[p - 1].name for p in self.positions[1:-1]), "all")


def match_models(problem: TenancyProblem, models: Mapping[str, TenantModel]) -> None:
    """Refuse models that are not those of a problem's tenants.

    Raises
    ------
    WorkloadError
        A tenant without a model.
    StalePlanError
        A model with other partition points than its tenant has costs for.
    """
    missing = [tenant.name for tenant in problem.tenants if tenant.name not in models]
    if missing:
        raise WorkloadError(
            "tenants",
            expected=f"a model for each; there are {capped(models) or 'none'}",
            got=f"none for {capped(missing)}",
            remedy="Give every tenant its model.",
        )
    for tenant in problem.tenants:
        points = len(models[tenant.name].positions)
        if points != tenant.n_points:
            raise StalePlanError(
                f"tenant {tenant.name!r}",
                expected=f"costs for the model's {points} partition points",
                got=f"costs for {tenant.n_points}",
                remedy="Measure the tenant again with this model.",
            )
