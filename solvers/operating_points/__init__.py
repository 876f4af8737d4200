"""Solvers that choose an operating point for each model, policies for each by itself, points from fronts."""

from .fronts import from_front as from_front
from .fronts import from_plans as from_plans
from .policies import Dispatch as Dispatch
from .policies import FixedPoints as FixedPoints
from .policies import ParetoRule as ParetoRule
from .solution import PointsSolution as PointsSolution
