"""Fronts: what one chain or several models can reach in latency, memory and a third figure."""

from .chain_front import ChainFront as ChainFront
from .chain_front import chain_front as chain_front
from .joint import JointFront as JointFront
from .joint import joint_front as joint_front
from .measured import MeasuredFront as MeasuredFront
from .measured import measured_front as measured_front
