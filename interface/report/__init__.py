"""Reports: what was planned, what is to be expected of it, what happened, and how well that was predicted.

One description of the contents, two forms of it: a self-contained page and text for a terminal.
"""

from .contents import Contents as Contents
from .contents import Front as Front
from .contents import FrontSeries as FrontSeries
from .contents import ScoredPlan as ScoredPlan
from .contents import Sensitivity as Sensitivity
from .document import Document as Document
from .document import document_data as document_data
from .document import document_of as document_of
from .page import render as render
from .page import write_report as write_report
from .terminal import TerminalReport as TerminalReport
