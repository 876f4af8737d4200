"""Jobs of several networks with deadlines, spread over unlike processors."""

from .solution import JobSolution as JobSolution
