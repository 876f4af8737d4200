"""Operating points: each model has a front of plans, one of which is in force; chosen jointly and online."""

from .evaluate import ModelAtPoint as ModelAtPoint
from .evaluate import PointsEvaluation as PointsEvaluation
from .evaluate import evaluate_points as evaluate_points
from .metrics import ModelRun as ModelRun
from .metrics import PolicyRun as PolicyRun
from .point import ModelPoints as ModelPoints
from .point import OperatingPoint as OperatingPoint
from .point import ProcessorUse as ProcessorUse
from .policy import Loaded as Loaded
from .policy import Policy as Policy
from .policy import Sight as Sight
from .problem import OperatingPointProblem as OperatingPointProblem
from .problem import PointsObjective as PointsObjective
from .problem import SharedProcessor as SharedProcessor
from .simulate import simulate_policy as simulate_policy
from .world import Phase as Phase
from .world import World as World
