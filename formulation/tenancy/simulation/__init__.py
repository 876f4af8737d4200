"""Discrete-event simulation of tenants that share an accelerator and CPU cores."""

from ..batching import Batching as Batching
from .requests import Requests as Requests
from .results import Pool as Pool
from .results import TenancySimulation as TenancySimulation
from .results import TimeSeries as TimeSeries
from .simulate import simulate_tenancy as simulate_tenancy
from .statistics import ResponseSummary as ResponseSummary
from .statistics import batch_means_interval as batch_means_interval
