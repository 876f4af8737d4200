"""Few for many: rows assigned to few columns, so that little is lost."""

from .choose import METHODS as METHODS
from .choose import choose_columns as choose_columns
from .choose import loss_curve as loss_curve
from .problem import ClusteringProblem as ClusteringProblem
from .solution import Clustering as Clustering
