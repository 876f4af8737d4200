"""Measured costs."""

from .backends import Backend as Backend
from .backends import Session as Session
from .backends import backend_names as backend_names
from .backends import open_backend as open_backend
from .inputs import sample_inputs as sample_inputs
from .light_models import light_models as light_models
from .light_models import resolve_model as resolve_model
from .onnx_import import import_onnx as import_onnx
from .segments import SegmentFiles as SegmentFiles
from .segments import SegmentStore as SegmentStore
