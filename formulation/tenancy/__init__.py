"""Tenants that share an accelerator with little memory: what the problem and an allocation are."""

from .accelerator import Accelerator as Accelerator
from .accelerator import CoCompiledResidency as CoCompiledResidency
from .accelerator import LruResidency as LruResidency
from .accelerator import Residency as Residency
from .accelerator import TokenResidency as TokenResidency
from .allocation import Allocation as Allocation
from .allocation import TenantAllocation as TenantAllocation
from .batching import Batching as Batching
from .demands import Demands as Demands
from .demands import demands as demands
from .demands import reload_us as reload_us
from .demands import service_us as service_us
from .evaluate import TenancyEvaluation as TenancyEvaluation
from .evaluate import TenantEvaluation as TenantEvaluation
from .evaluate import evaluate_tenancy as evaluate_tenancy
from .percentiles import response_percentiles_us as response_percentiles_us
from .problem import TenancyProblem as TenancyProblem
from .scenario import TenancyScenario as TenancyScenario
from .tenant import Tenant as Tenant
