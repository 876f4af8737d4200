"""Co-run slowdown: measured in pairs, fitted, and checked on other pairs and on triples."""

from .assessment import ContentionError as ContentionError
from .contention_file import MeasuredContention as MeasuredContention
from .design import CoRunDesign as CoRunDesign
from .design import design_co_runs as design_co_runs
from .fit import ContentionFit as ContentionFit
from .fit import Prediction as Prediction
from .fit import fit_contention as fit_contention
from .measure_contention import measure_contention as measure_contention
from .measuring import MeasuredCoRun as MeasuredCoRun
from .settings import ContentionSettings as ContentionSettings
from .throughput import ThroughputCell as ThroughputCell
