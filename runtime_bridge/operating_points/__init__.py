"""Operating points chosen online for live models."""

from .beliefs import Beliefs as Beliefs
from .controller import Exchange as Exchange
from .controller import PointsController as PointsController
from .copies import JointCopies as JointCopies
from .decisions import DecisionJournal as DecisionJournal
from .decisions import PointsDecision as PointsDecision
from .feedback import LatencyTest as LatencyTest
from .feedback import MemAvailable as MemAvailable
from .feedback import PressureStall as PressureStall
from .feedback import RateTest as RateTest
from .joint import JointPolicy as JointPolicy
from .settings import JointSettings as JointSettings
