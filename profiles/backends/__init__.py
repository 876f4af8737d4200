"""Backends: the runtimes that execute segments. Each is imported when it is asked for."""

from .base import Backend as Backend
from .base import Session as Session
from .checks import check_cores as check_cores
from .checks import check_form as check_form
from .checks import refused as refused
from .registry import ENTRY_POINT_GROUP as ENTRY_POINT_GROUP
from .registry import FoundBackend as FoundBackend
from .registry import backend_names as backend_names
from .registry import find_backends as find_backends
from .registry import open_backend as open_backend
