"""What can go wrong beside a live runtime, and how it is seen: failing backends, memory, model files, clocks.

None of these has a thread of its own, or does anything about what it sees: whoever serves calls `check` every half
second and acts.
"""

from .clock import ClockEvent as ClockEvent
from .clock import ClockGuard as ClockGuard
from .clock import Clocks as Clocks
from .files import FileState as FileState
from .files import FileWatch as FileWatch
from .health import BackendLoss as BackendLoss
from .health import BreakerSettings as BreakerSettings
from .health import Health as Health
from .health import HealthReport as HealthReport
from .health import Quarantine as Quarantine
from .memory import MemoryLevel as MemoryLevel
from .memory import MemoryLimit as MemoryLimit
from .memory import MemoryMonitor as MemoryMonitor
from .memory import MemoryReading as MemoryReading
from .memory import MemoryState as MemoryState
from .memory import MemoryThresholds as MemoryThresholds
from .memory import find_limit as find_limit
