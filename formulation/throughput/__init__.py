"""Throughput planning: batch sizes, concurrent instances and placement of several models over a device's processors."""

from .plan import Instance as Instance
from .plan import ModelService as ModelService
from .plan import ServicePlan as ServicePlan
