"""One self-contained HTML file that shows what was planned, what happened, and how well it was predicted."""

from .contents import Contents as Contents
from .contents import Front as Front
from .contents import FrontSeries as FrontSeries
from .contents import ScoredPlan as ScoredPlan
from .page import render as render
from .page import write_report as write_report
