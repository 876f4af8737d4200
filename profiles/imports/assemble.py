"""Costs of other tools as a profile: labelled imported, on a platform that is only described, never on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from ...formulation import (
    Configuration,
    CostTable,
    CutChain,
    LayerGraph,
    Link,
    Memory,
    Platform,
    ProfileError,
    Provenance,
    capped,
    cut_chain,
)
from ...formulation import Processor as PlatformProcessor
from ..machine import Fingerprint
from ..profile import CostData, ModelProfile, Profile
from ..settings import ProfileSettings
from .onert_links import memory_name

MAX_UNITS = 24
"""Most units that an imported model is cut into, as even in time as its cuts allow: solvers see every pair of cuts."""

CAPACITY_BYTES = 1 << 40
"""Memory of an imported platform, about which the files say nothing: so much that it limits nothing."""


@dataclass(frozen=True, eq=False)
class ImportedCosts:
    """What an importer found out about one model.

    Attributes
    ----------
    graph : LayerGraph
    sha256 : str
        Of the model file; of the graph where there is none.
    file : str
        Name of the model file, empty where there is none.
    layer_us : ndarray, shape (n, C)
        Microseconds, NaN where a backend cannot run a layer.
    backends : mapping of str to str
        Processor of each of the C backends.
    source : str
        What the costs were read from, for people.
    warnings : tuple of str
    whole : tuple of (int, int)
        Ranges of layers that cannot be cut inside, since their time is known only together.
    links : tuple of Link
        Between every two processors' memories, which `memory_name` names; none where moving is not known.
    """

    graph: LayerGraph
    sha256: str
    file: str
    layer_us: NDArray[np.float64]
    backends: Mapping[str, str]
    source: str
    warnings: tuple[str, ...] = ()
    whole: Sequence[tuple[int, int]] = field(default=())
    links: tuple[Link, ...] = ()


def imported_profile(costs: ImportedCosts) -> Profile:
    """Profile with the imported costs of one model.

    Every processor has one core and runs one thing at a time. With links each works in a memory of its own; without,
    all share one, and moving a tensor costs nothing. The platform has no fingerprint, so that no machine takes it for
    its own.

    Raises
    ------
    CostError
        A layer that no backend can run.
    """
    # The first processor is the host, whose memory inputs come from and outputs go to.
    processors = tuple(sorted(dict.fromkeys(costs.backends.values()), key=lambda name: name != "cpu"))
    provenance = Provenance(kind="imported", source=costs.source)
    table = CostTable.create(
        [Configuration(processor=processor, backend=backend) for backend, processor in costs.backends.items()],
        costs.layer_us,
        provenance=provenance,
    )
    model = ModelProfile(
        name=costs.graph.name,
        file=costs.file,
        sha256=costs.sha256,
        graph=costs.graph.to_dict(),
        cuts=_cuts(costs).positions,
        costs=CostData.of(table),
    )
    moved = f"moving tensors between {' and '.join(processors)} counts as free: the file has no times for every way"
    own = {name: memory_name(name) if costs.links else "ram" for name in processors}
    return Profile(
        models=(model,),
        platform=Platform(
            name="imported",
            processors=tuple(
                PlatformProcessor(name=name, kind=name, cores=(core,), memory=own[name])
                for core, name in enumerate(processors)
            ),
            memories=tuple(
                Memory.model_validate({"name": name, "capacity_bytes": CAPACITY_BYTES})
                for name in dict.fromkeys(own.values())
            ),
            links=costs.links,
        ),
        fingerprint=Fingerprint(cpu="not known", cpu_key="", cores=tuple(range(len(processors))), versions={}),
        settings=ProfileSettings(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        warnings=costs.warnings + ((moved,) if len(processors) > 1 and not costs.links else ()),
        provenance=provenance,
    )


def _cuts(costs: ImportedCosts) -> CutChain:
    offered = set(cut_chain(costs.graph).positions)
    for start, stop in costs.whole:
        offered -= set(range(start + 1, stop))
    positions = np.array(sorted(offered))
    if len(positions) - 1 > MAX_UNITS:
        done = np.concatenate([[0.0], np.cumsum(np.nanmean(costs.layer_us, axis=1))])[positions]
        targets = done[-1] * np.arange(1, MAX_UNITS) / MAX_UNITS
        kept = np.abs(done[None, 1:-1] - targets[:, None]).argmin(axis=1) + 1
        positions = positions[np.unique(np.concatenate([[0], kept, [len(positions) - 1]]))]
    return CutChain(costs.graph, tuple(int(p) for p in positions))


def refuse_unplanned(kind: str, source: str, layers: Sequence[str], remedy: str) -> None:
    """Refuse costs that leave layers without any time.

    Raises
    ------
    ProfileError
        There are such layers.
    """
    if layers:
        raise ProfileError(
            f"{kind} {source}",
            expected="a time for every layer of the model on at least one backend",
            got=f"none for {capped(layers)}",
            remedy=remedy,
        )
