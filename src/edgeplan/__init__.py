"""EdgePlan: plan how several neural networks share one device, and keep the plan right while it runs.

The names below are resolved on first use, so that ``import edgeplan.solvers`` loads the solvers and the
formulation and nothing else (no command line, no onnx, no onnxruntime).

Examples
--------
>>> import edgeplan
>>> scenario = edgeplan.load("examples/demo.yaml")  # doctest: +SKIP
>>> solution = edgeplan.plan(scenario)  # doctest: +SKIP
>>> report = edgeplan.run(scenario, solution.plan, duration_s=10.0)  # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # Resolved in an installed package; in the repository the folder stands elsewhere.
    from .interface.facade import load as load  # pyright: ignore[reportMissingImports]
    from .interface.facade import plan as plan  # pyright: ignore[reportMissingImports]
    from .interface.facade import run as run  # pyright: ignore[reportMissingImports]

    __version__: str

__all__ = ["__version__", "load", "plan", "run"]

_FACADE = frozenset({"load", "plan", "run"})
_PACKAGES = frozenset({"formulation", "interface", "profiles", "runtime_bridge", "solvers"})


def __getattr__(name: str) -> Any:
    if name in _FACADE:
        value = getattr(import_module(f"{__name__}.interface.facade"), name)
    elif name in _PACKAGES:
        value = import_module(f"{__name__}.{name}")
    elif name == "__version__":
        from importlib.metadata import version

        value = version(__name__)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_PACKAGES})
