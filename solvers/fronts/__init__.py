"""Fronts: what one chain or several models can reach in latency, memory and a third figure."""

from .chain_front import ChainFront as ChainFront
from .chain_front import chain_front as chain_front
