"""What is asked of an explanation, and the solving that answers it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...formulation import Plan, Problem, evaluate
from ..output import Output
from ..whatif import Price, Rescue, prices, rescues
from .kinds import ExplainError, FileKind

if TYPE_CHECKING:
    from ...solvers import Candidate, Judgement, Solution


_CALLED: dict[FileKind, str] = {
    "plan": "a plan",
    "allocation": "an allocation of tenants",
    "scenario": "a scenario",
    "tenancy": "a scenario with an accelerator",
    "journal": "a journal",
}


@dataclass(frozen=True)
class Asked:
    """Settings of an explanation.

    Attributes
    ----------
    relax : bool
        Whether limits are priced, or relaxed until there is a plan.
    alternatives : bool
        Whether plans of every policy are made, to say what was rejected.
    time_limit_s : float
        Of each re-solve.
    method : str
        ``auto``: that of the plan.
    seed : int or None
        None: that of the plan, else 0.
    """

    relax: bool = True
    alternatives: bool = True
    time_limit_s: float = 3.0
    method: str = "auto"
    seed: int | None = None

    def refuse_misfit(
        self, path: Path, kind: FileKind, scenario: Path | None, profile: Path | None, of_journal: bool
    ) -> None:
        """Refuse options that do not go with the kind of file.

        Raises
        ------
        ExplainError
        """
        if kind in ("plan", "allocation") and scenario is None:
            raise ExplainError(
                f"{kind} {path}",
                expected="the scenario that it is for, by --scenario",
                got="none",
                remedy="A plan holds neither costs nor limits; name the file that it was planned from.",
            )
        if kind not in ("plan", "allocation") and scenario is not None:
            raise ExplainError(
                f"option --scenario {scenario}",
                expected="a plan to go with it",
                got=f"{_CALLED[kind]}, {path}",
                remedy="Leave out --scenario.",
            )
        if kind in ("journal", "tenancy", "allocation") and profile is not None:
            raise ExplainError(
                f"option --profile {profile}",
                expected="a plan or a scenario that needs a profile",
                got=f"{_CALLED[kind]}, {path}",
                remedy="Leave out --profile.",
            )
        if kind != "journal" and of_journal:
            raise ExplainError(
                "options --decision and --partial",
                expected="a journal to go with them",
                got=f"{_CALLED[kind]}, {path}",
                remedy="Leave them out.",
            )

    def planned(self, problem: Problem) -> tuple[Solution, tuple[Candidate, ...]]:
        """Plan a scenario as ``edgeplan plan`` does: the solution, and what it was chosen from, if from several."""
        from ...solvers import by_simulation, solve

        if self.method == "auto" and problem.objective == "response":
            # A share for each of the four policies.
            judged = by_simulation(problem, time_limit_s=4 * self.time_limit_s, seed=self.seed or 0)
            return judged[0].solution, judged
        return solve(problem, self.method, time_limit_s=self.time_limit_s, seed=self.seed or 0), ()

    def prices_of(self, output: Output, problem: Problem, plan: Plan) -> tuple[Price, ...]:
        """Prices of the limits, within the plan's policy; none where not asked for or where the plan breaks a limit."""
        if not self.relax or problem.objective == "front" or not evaluate(problem, plan).feasible:
            return ()
        with output.progress("Relaxing limits") as progress:
            return prices(
                problem,
                _as_solution(problem, plan),
                method=self._method(problem, plan),
                time_limit_s=self.time_limit_s,
                seed=self.seed,
                progress=progress,
            )

    def rejected(
        self, problem: Problem, plan: Plan, candidates: Sequence[Candidate] = ()
    ) -> tuple[tuple[Candidate, ...], Judgement | None]:
        """Plans of every policy, and how the explained plan itself fares in simulation."""
        if not self.alternatives or problem.objective != "response" or not evaluate(problem, plan).models:
            return (), None
        from ...solvers import by_simulation, judge

        seed = plan.solver.seed if self.seed is None else self.seed
        found = tuple(candidates) or by_simulation(problem, time_limit_s=4 * self.time_limit_s, seed=seed)
        return found, judge(problem, plan, seed)

    def rescues_of(self, output: Output, problem: Problem, solution: Solution) -> tuple[Rescue, ...]:
        """What makes an infeasible problem feasible; none where not asked for."""
        if not self.relax:
            return ()
        with output.progress("Relaxing limits") as progress:
            return rescues(problem, solution, time_limit_s=self.time_limit_s, seed=self.seed, progress=progress)

    def _method(self, problem: Problem, plan: Plan) -> str:
        """The plan's own method where it can still be asked, else the strongest."""
        from ...solvers import available_methods

        if self.method != "auto":
            return self.method
        return plan.solver.method if plan.solver.method in available_methods(type(problem)) else "auto"


def _as_solution(problem: Problem, plan: Plan) -> Solution:
    """A plan that was read, as a solver's answer: never more than feasible, for the problem may be another now."""
    from ...solvers import Solution

    evaluation = evaluate(problem, plan)
    return Solution(
        "feasible",
        plan.solver.method,
        evaluation.objective,
        seed=plan.solver.seed,
        plan=plan,
        evaluation=evaluation,
    )
