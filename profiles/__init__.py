"""Measured costs: models read, segments cut, backends opened, times and memory measured, profiles kept.

Nothing here imports onnx, onnxruntime or openvino before it needs them.
"""

from .backends import Backend as Backend
from .backends import FoundBackend as FoundBackend
from .backends import Session as Session
from .backends import find_backends as find_backends
from .backends import open_backend as open_backend
from .cache import cache_root as cache_root
from .dnn_partitioning import read_dnn_partitioning as read_dnn_partitioning
from .dnn_partitioning import write_dnn_partitioning as write_dnn_partitioning
from .inputs import sample_inputs as sample_inputs
from .light_models import light_model_names as light_model_names
from .light_models import resolve_model as resolve_model
from .machine import Fingerprint as Fingerprint
from .machine import local_platform as local_platform
from .machine import machine_fingerprint as machine_fingerprint
from .onnx_file import model_sha256 as model_sha256
from .onnx_import import import_onnx as import_onnx
from .profile import ModelProfile as ModelProfile
from .profile import PredictionError as PredictionError
from .profile import Profile as Profile
from .profiling import profile_models as profile_models
from .segments import SegmentFiles as SegmentFiles
from .segments import SegmentStore as SegmentStore
from .settings import ProfileSettings as ProfileSettings
