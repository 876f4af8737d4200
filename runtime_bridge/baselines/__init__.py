"""What users run today: ways to serve several models that need no planner, measured beside a plan."""

from .model_processes import ModelProcesses as ModelProcesses
from .model_threads import ModelThreads as ModelThreads
from .pinned_workers import PinnedWorkers as PinnedWorkers
from .point_threads import PointThreads as PointThreads
from .server import Baseline as Baseline
from .server import HasProcesses as HasProcesses
from .server import Server as Server
from .sessions import SessionOptions as SessionOptions
