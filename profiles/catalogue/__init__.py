"""Published measurements of models on accelerators, with their sources; tenants made of them."""

from .architectures import architecture as architecture
from .architectures import architecture_names as architecture_names
from .data import AcceleratorEntry as AcceleratorEntry
from .data import Experiments as Experiments
from .data import Figure as Figure
from .data import ModelEntry as ModelEntry
from .data import Source as Source
from .data import accelerator_entries as accelerator_entries
from .data import entries as entries
from .data import experiments as experiments
from .data import sources as sources
from .layers import Cut as Cut
from .layers import Layer as Layer
from .layers import Network as Network
from .tenants import accelerator as accelerator
from .tenants import accelerator_names as accelerator_names
from .tenants import measured_names as measured_names
from .tenants import measured_tenant as measured_tenant
from .tenants import names as names
from .tenants import official_latency_us as official_latency_us
from .tenants import tenant as tenant
from .tenants import thread_speedup as thread_speedup
