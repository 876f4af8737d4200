"""Open sessions on prefixes and suffixes, shared by the allocations that need the same."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import numpy as np

from ...formulation import Configuration
from ...profiles import SegmentStore, Session, open_backend, sample_inputs
from .models import TenantModel

_Key = tuple[str, int, int, Configuration, tuple[int, ...]]


class SegmentPool:
    """Opens a session a segment, once for all that use it, and runs it once before anybody else does.

    Parameters
    ----------
    models : mapping of str to TenantModel
    """

    def __init__(self, models: Mapping[str, TenantModel]) -> None:
        self._models = models
        self._stores: dict[str, SegmentStore] = {}
        self._samples: dict[str, dict[str, np.ndarray]] = {}
        self._open: dict[_Key, Session] = {}
        self._users: dict[_Key, int] = {}
        self._lock = threading.Lock()

    def acquire(self, tenant: str, start: int, stop: int, configuration: Configuration, cores: tuple[int, ...]) -> _Key:
        """Open layers ``[start, stop)`` of a tenant's model; `session` has it under the key returned.

        Raises
        ------
        EdgePlanError
            The backend does not load or refuses the segment.
        """
        # One thread runs on whichever worker calls it, so its session serves any cores.
        key = (tenant, start, stop, configuration, cores if configuration.threads > 1 else ())
        with self._lock:
            if key not in self._open:
                if tenant not in self._stores:
                    model = self._models[tenant]
                    self._stores[tenant] = SegmentStore(model.path, model.graph)
                files = self._stores[tenant].segment(start, stop)
                self._open[key] = open_backend(configuration.backend).open(files, configuration, cores)
            self._users[key] = self._users.get(key, 0) + 1
        return key

    def session(self, key: _Key) -> Session:
        """The open session of a key."""
        return self._open[key]

    def release(self, key: _Key) -> None:
        """Let a session go; it is closed where nobody else uses it."""
        with self._lock:
            self._users[key] -= 1
            if self._users[key] == 0:
                del self._users[key]
                self._open.pop(key).close()

    def sample(self, tenant: str) -> dict[str, np.ndarray]:
        """Inputs of a tenant's model to warm up with."""
        if tenant not in self._samples:
            self._samples[tenant] = sample_inputs(self._models[tenant].path)
        return self._samples[tenant]
