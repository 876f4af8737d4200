"""What a solver of job problems can do, as data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...formulation import JobProblem


@dataclass(frozen=True)
class JobFeatures:
    """What a solver supports.

    Attributes
    ----------
    exact : bool
        Whether it proves optimality and infeasibility, given time.
    contention : bool
        Whether it keeps its promises where processors slow each other down.
    chains : bool
        Whether it needs networks that are chains.
    ample_memory : bool
        Whether it needs memories that hold everything at once.
    most_layers : int or None
        Of all jobs together.
    processor : str or None
        A processor of this name is needed, upper or lower case.
    """

    exact: bool = False
    contention: bool = True
    chains: bool = False
    ample_memory: bool = False
    most_layers: int | None = None
    processor: str | None = None

    def unsupported(self, problem: JobProblem) -> str | None:
        """What a problem needs that the solver lacks, or None."""
        layers = int(problem.offsets[-1])
        if not self.contention and problem.contended:
            return "processors that slow each other down"
        if self.chains and not all(network.is_chain for network in problem.networks):
            return "networks that are not chains"
        if self.ample_memory and not holds_everything(problem):
            return "memories that do not hold the weights of all networks at once"
        if self.most_layers is not None and layers > self.most_layers:
            return f"{layers} layers in all, where it takes {self.most_layers}"
        if self.processor is not None and self.processor not in [name.lower() for name in problem.processors]:
            return f"no processor called {self.processor!r}"
        return None


def holds_everything(problem: JobProblem) -> bool:
    """Whether no choice of processors can break a memory limit."""
    used = [np.where(np.isfinite(n.duration_us), n.weight_bytes, 0.0).sum(axis=0) for n in problem.networks]
    return bool(np.all(np.sum(used, axis=0) <= problem.memory_bytes))
