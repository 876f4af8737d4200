"""What if a limit were another: prices of limits, what makes an infeasible problem feasible, and sweeps over grids."""

from .answers import Played as Played
from .answers import Reply as Reply
from .knobs import Knob as Knob
from .knobs import knobs_of as knobs_of
from .knobs import turned as turned
from .knobs import value_of as value_of
from .prices import Price as Price
from .prices import prices as prices
from .tables import prices_data as prices_data
from .tables import prices_table as prices_table
from .rescues import Rescue as Rescue
from .rescues import rescues as rescues
from .tables import clash_needs_table as clash_needs_table
from .tables import rescues_data as rescues_data
from .tables import rescues_table as rescues_table
