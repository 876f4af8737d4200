"""Throughput planning: batch sizes, concurrent instances and placement of several models over a device's processors."""

from .batches import Forming as Forming
from .evaluate import ModelPrediction as ModelPrediction
from .evaluate import ServiceEvaluation as ServiceEvaluation
from .evaluate import evaluate_service as evaluate_service
from .limits import BrokenLimit as BrokenLimit
from .limits import ServiceLimit as ServiceLimit
from .limits import limits_of as limits_of
from .plan import Instance as Instance
from .plan import ModelService as ModelService
from .plan import ServicePlan as ServicePlan
from .problem import ThroughputProblem as ThroughputProblem
from .settings import ServiceSettings as ServiceSettings
from .settings import ThroughputObjective as ThroughputObjective
from .simulate import ServiceSimulation as ServiceSimulation
from .simulate import simulate_service as simulate_service
