"""A planner's process that hangs, dies or talks nonsense costs its caller an error and a stated time, no more."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from edgeplan.formulation import Plan, PlannerCancelled, PlannerError, PlannerTimeout
from edgeplan.runtime_bridge import Assumptions, Planner

from ..conftest import Toys

HERE = Path(__file__).parent
WAIT_S = 60.0


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of misbehaving processes, under a name by which a fresh interpreter finds it too."""
    monkeypatch.syspath_prepend(HERE)
    return importlib.import_module("planner_processes")


@pytest.fixture
def question(toys: Toys) -> tuple[Plan, Assumptions]:
    return toys.halved(), Assumptions(dict.fromkeys(toys.files, 50.0))


def eventually(holds: Callable[[], bool]) -> bool:
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        if holds():
            return True
        time.sleep(0.01)
    return False


def state_of(pid: int) -> str:
    """Letter of the process's state; Z for one that is gone, waited for or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def children() -> set[int]:
    """Processes that this one has started and not waited for, without multiprocessing's own helper."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        found |= {int(pid) for pid in (task / "children").read_text().split()}
    return {pid for pid in found if b"resource_tracker" not in Path(f"/proc/{pid}/cmdline").read_bytes()}


def ask(planner: Planner, question: tuple[Plan, Assumptions]) -> tuple[threading.Thread, list[Exception]]:
    """Ask on another thread; the list takes what is raised."""
    caught: list[Exception] = []

    def wait() -> None:
        try:
            planner.replan(*question, 60.0, 0)
        except Exception as error:
            caught.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread, caught


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture(autouse=True)
def nothing_is_left(toys: Toys) -> Iterator[None]:
    """No test here leaves a process, a descriptor or a thread behind."""
    Planner(toys.problem, toys.files).close()  # multiprocessing's helper is started with the first process
    processes, files, threads = children(), descriptors(), threading.active_count()
    yield
    assert eventually(lambda: children() <= processes)  # not equal: what others left may go meanwhile
    assert eventually(lambda: descriptors() <= files)
    assert eventually(lambda: threading.active_count() <= threads)


@pytest.mark.parametrize(
    ("fault", "grace_s"), [("hang", 0.0), pytest.param("stop_in_the_middle_of_the_answer", 5.0, marks=pytest.mark.slow)]
)
def test_one_that_does_not_come_to_an_end_is_given_up(
    toys: Toys, processes: Any, question: tuple[Plan, Assumptions], fault: str, grace_s: float
) -> None:
    with Planner(toys.problem, toys.files, overrun=2.0, grace_s=grace_s, serve=getattr(processes, fault)) as planner:
        pid = planner.pid
        with pytest.raises(PlannerTimeout, match=f"within {grace_s + 0.2:g} s"):
            planner.replan(*question, 0.1, 0)
        assert state_of(pid) == "Z"
        assert planner.pid not in {0, pid}


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("answer_garbage", "nonsense"),
        pytest.param("answer_another_question", "nonsense", marks=pytest.mark.slow),
        pytest.param("answer_a_number", "a int", marks=pytest.mark.slow),
        pytest.param("be_killed", "killed .signal 9.", marks=pytest.mark.slow),
        pytest.param("exit_early", "exited with code 3", marks=pytest.mark.slow),
    ],
)
def test_one_that_gives_no_answer_is_an_error_and_is_replaced(
    toys: Toys, processes: Any, question: tuple[Plan, Assumptions], fault: str, words: str
) -> None:
    with Planner(toys.problem, toys.files, serve=getattr(processes, fault)) as planner:
        pid = planner.pid
        with pytest.raises(PlannerError, match=words):
            planner.replan(*question, 1.0, 0)
        assert state_of(pid) == "Z"
        assert planner.pid not in {0, pid}


@pytest.mark.slow
def test_one_that_died_while_it_had_nothing_to_do_costs_nothing(toys: Toys, question: tuple[Plan, Assumptions]) -> None:
    with Planner(toys.problem, toys.files) as planner:
        pid = planner.pid
        os.kill(pid, signal.SIGKILL)
        assert eventually(lambda: state_of(pid) == "Z")
        assert planner.replan(*question, 2.0, 0).plan is not None


@pytest.mark.slow
def test_after_a_failure_the_next_question_is_answered(toys: Toys, question: tuple[Plan, Assumptions]) -> None:
    with Planner(toys.problem, toys.files) as planner:
        os.kill(planner.pid, signal.SIGSTOP)
        asked, caught = ask(planner, question)
        assert eventually(planner.cancel)
        asked.join(WAIT_S)
        assert [type(error) for error in caught] == [PlannerCancelled]
        assert planner.replan(*question, 2.0, 0).plan is not None
        pid = planner.pid
        with pytest.raises(PlannerError, match="from the solver"):
            planner.replan("no plan", question[1], 2.0, 0)  # a mistake in a solver would look like that
        assert planner.pid == pid


@pytest.mark.parametrize("how", ["cancel", "close", "replace"])
def test_a_solve_under_way_can_be_ended_from_elsewhere(
    toys: Toys, processes: Any, question: tuple[Plan, Assumptions], how: str
) -> None:
    with Planner(toys.problem, toys.files, serve=processes.hang) as planner:
        assert not planner.cancel(), "nothing is under way"
        asked, caught = ask(planner, question)
        time.sleep(0.2)
        if how == "replace":
            planner.replace(toys.problem, toys.files)
        else:
            getattr(planner, how)()
        asked.join(WAIT_S)
        assert [type(error) for error in caught] == [PlannerCancelled]


def test_a_closed_one_refuses(toys: Toys, processes: Any, question: tuple[Plan, Assumptions]) -> None:
    planner = Planner(toys.problem, toys.files, serve=processes.hang)
    planner.close()
    planner.close()
    with pytest.raises(PlannerCancelled, match="closed"):
        planner.replan(*question, 1.0, 0)
    with pytest.raises(PlannerCancelled, match="closed"):
        planner.replace(toys.problem, toys.files)


@pytest.mark.slow
def test_another_problem_is_solved_after_it_was_replaced(toys: Toys, question: tuple[Plan, Assumptions]) -> None:
    one = toys.problem.replace(models=toys.problem.models[:1], streams=toys.problem.streams[:1])
    running, _ = question
    running = running.model_copy(update={"models": running.models[:1]})
    with Planner(toys.problem, toys.files) as planner:
        planner.replace(one, toys.files)
        outcome = planner.replan(running, Assumptions({"left": 50.0}), 2.0, 0)
        assert [model.name for model in outcome.problem.models] == ["left"]


@pytest.mark.slow
def test_thirty_failures_leave_nothing_behind(toys: Toys, processes: Any, question: tuple[Plan, Assumptions]) -> None:
    others = children()
    with Planner(toys.problem, toys.files, overrun=0.0, grace_s=0.01, serve=processes.hang) as planner:
        open_before = descriptors()
        for _ in range(30):
            with pytest.raises(PlannerTimeout):
                planner.replan(*question, 1.0, 0)
            assert len(children() - others) == 1
        assert descriptors() == open_before


@pytest.mark.slow
def test_thirty_faults_of_all_kinds_leave_nothing_behind(
    toys: Toys, processes: Any, question: tuple[Plan, Assumptions]
) -> None:
    open_before, others = descriptors(), children()
    for fault in ["hang", "stop_in_the_middle_of_the_answer", "answer_garbage", "be_killed", "exit_early"]:
        with Planner(toys.problem, toys.files, overrun=0.0, grace_s=3.0, serve=getattr(processes, fault)) as planner:
            for _ in range(6):
                with pytest.raises(PlannerError):
                    planner.replan(*question, 1.0, 0)
                assert len(children() - others) == 1
    assert descriptors() == open_before


@pytest.mark.parametrize(
    "state",
    [
        pytest.param("waiting", marks=pytest.mark.slow),
        "holding the interpreter lock",
        pytest.param("stopped", marks=pytest.mark.slow),
    ],
)
def test_one_whose_parent_was_killed_ends_by_itself(tmp_path: Path, state: str) -> None:
    serve = (
        "serve_planner" if state != "holding the interpreter lock" else "planner_processes.hold_the_interpreter_lock"
    )
    script = tmp_path / "parent.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import sys, time
            sys.path.insert(0, {str(HERE)!r})
            import planner_processes
            from edgeplan.runtime_bridge.planner_process import PlannerProcess, serve_planner

            if __name__ == "__main__":
                opened = PlannerProcess.start({serve}, None, {{}})
                print(opened.process.pid, flush=True)
                if {serve} is not serve_planner:
                    opened.connection.send("go")
                time.sleep(3600)
            """
        )
    )
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())

        def busy_or_waiting() -> bool:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            nice, cpu_ticks = int(fields[16]), int(fields[11]) + int(fields[12])
            return nice > 0 if serve == "serve_planner" else cpu_ticks > 100 and fields[0] == "R"

        assert eventually(busy_or_waiting)
        time.sleep(1.0)
        if state == "stopped":
            os.kill(pid, signal.SIGSTOP)
            assert eventually(lambda: state_of(pid) == "T")
        parent.kill()
    assert eventually(lambda: state_of(pid) == "Z")
