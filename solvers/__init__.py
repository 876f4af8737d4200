"""Problem in, solution out: exact and heuristic planners behind one `solve`."""

from .answer import Answer as Answer
from .core_sets import families as families
from .features import Features as Features
from .fronts import ChainFront as ChainFront
from .fronts import chain_front as chain_front
from .hypervolume import hypervolume as hypervolume
from .limits import Limit as Limit
from .limits import limits_of as limits_of
from .policies import Candidate as Candidate
from .policies import Judgement as Judgement
from .policies import Policy as Policy
from .policies import by_simulation as by_simulation
from .policies import judge as judge
from .registry import Solver as Solver
from .registry import available_methods as available_methods
from .registry import solve as solve
from .registry import solver as solver
from .solution import Clash as Clash
from .solution import FrontPoint as FrontPoint
from .solution import Solution as Solution
from .stop import Cancellation as Cancellation
from .stop import Stop as Stop
from .stop import TimeLimit as TimeLimit
from .verify import SolverBugError as SolverBugError
