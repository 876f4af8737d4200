"""Serving by a service plan: batches, several instances a model, admission and priorities."""

from .desk import Departure as Departure
from .desk import Desk as Desk
from .desk import Line as Line
from .instances import ServedInstance as ServedInstance
from .instances import Stage as Stage
from .instances import planned_instances as planned_instances
from .lanes import Flight as Flight
from .lanes import Lanes as Lanes
from .records import ServiceRecord as ServiceRecord
from .records import ServiceSummary as ServiceSummary
from .records import summarise_service as summarise_service
from .runtime import ServiceRuntime as ServiceRuntime
from .settings import ServiceSettings as ServiceSettings
