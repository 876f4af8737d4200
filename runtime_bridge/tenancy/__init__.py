"""Tenants on a live, emulated accelerator, and the controller that re-allocates online."""

from .lanes import Emulation as Emulation
from .measured import measure_tenant as measure_tenant
from .measured import read_by_time as read_by_time
from .measured import tenant_of_model as tenant_of_model
from .models import TenantModel as TenantModel
from .records import TenantRecord as TenantRecord
from .records import TenantSummary as TenantSummary
from .records import summarise_tenant as summarise_tenant
from .runtime import TenantRuntime as TenantRuntime
from .timebase import Timebase as Timebase
from .timebase import waiting_lateness_us as waiting_lateness_us
