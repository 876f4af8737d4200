"""Operating points: each model has a front of plans, one of which is in force; chosen jointly and online."""

from .evaluate import ModelAtPoint as ModelAtPoint
from .evaluate import PointsEvaluation as PointsEvaluation
from .evaluate import evaluate_points as evaluate_points
from .point import ModelPoints as ModelPoints
from .point import OperatingPoint as OperatingPoint
from .point import ProcessorUse as ProcessorUse
from .problem import OperatingPointProblem as OperatingPointProblem
from .problem import PointsObjective as PointsObjective
from .problem import SharedProcessor as SharedProcessor
