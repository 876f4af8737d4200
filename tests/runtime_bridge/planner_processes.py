"""What a planner's process may do wrong. Imports nothing large: each of its functions runs in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from multiprocessing.connection import Connection
from typing import Any

GARBAGE = b"\x80\x05no pickle"


def hang(connection: Connection, *_: Any) -> None:
    connection.recv()
    time.sleep(3600)


def stop_in_the_middle_of_the_answer(connection: Connection, *_: Any) -> None:
    connection.recv()
    os.write(connection.fileno(), (1_000_000).to_bytes(4, "big") + b"the beginning")
    os.kill(os.getpid(), signal.SIGSTOP)


def answer_garbage(connection: Connection, *_: Any) -> None:
    connection.recv()
    connection.send_bytes(GARBAGE)
    time.sleep(3600)


def answer_another_question(connection: Connection, *_: Any) -> None:
    number = connection.recv()[0]
    connection.send((number + 1, None))
    time.sleep(3600)


def answer_a_number(connection: Connection, *_: Any) -> None:
    connection.send((connection.recv()[0], 42))
    time.sleep(3600)


def be_killed(connection: Connection, *_: Any) -> None:
    connection.recv()
    os.kill(os.getpid(), signal.SIGKILL)


def exit_early(*_: Any) -> None:
    sys.exit(3)


def hold_the_interpreter_lock(connection: Connection, *_: Any) -> None:
    from edgeplan.runtime_bridge.planner_process import end_with_parent

    end_with_parent()
    connection.recv()
    re.match(r"(a+)+$", "a" * 60 + "b")  # one call into C that takes years and never gives the lock away
