"""What the service remembers from one process to the next: plans, what they were planned for, decisions."""

from .records import PlanRow as PlanRow
from .records import Setup as Setup
from .records import StateError as StateError
from .records import StoredDecision as StoredDecision
from .records import StoredPlan as StoredPlan
from .store import StateStore as StateStore
