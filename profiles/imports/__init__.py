"""Files of other tools: what they measured, as profiles and fronts."""

from .assemble import ImportedCosts as ImportedCosts
from .assemble import imported_profile as imported_profile
from .onert_pareto import OnertFront as OnertFront
from .onert_pareto import OnertFrontPoint as OnertFrontPoint
from .onert_pareto import read_onert_front as read_onert_front
from .onert_pareto import write_onert_front as write_onert_front
from .onert_profile import import_onert as import_onert
from .onert_settings import BackendSettings as BackendSettings
from .onert_times import OnertTimes as OnertTimes
from .onert_times import read_onert_times as read_onert_times
from .tensorrt import TensorrtProfile as TensorrtProfile
from .tensorrt import import_tensorrt as import_tensorrt
from .tensorrt import read_tensorrt_profile as read_tensorrt_profile
