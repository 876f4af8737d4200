"""Work that engines are given in tests: a module of its own, for workers import it by its name."""

import os
import signal
import time
from pathlib import Path


def multiply(shared: int, payload: int) -> int:
    return shared * payload


def refuse_odd(shared: object, payload: int) -> int:
    if payload % 2:
        raise ValueError(f"{payload} is odd")
    return payload


def slowly(shared: object, payload: float) -> int:
    time.sleep(payload)
    return os.getpid()


def die_once(shared: str, payload: int) -> int:
    """End the worker by signal 9 the first time that task 3 is run."""
    mark = Path(shared) / "died"
    if payload == 3 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return payload


def die_always(shared: object, payload: int) -> int:
    if payload == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return payload


def die_below(shared: int, payload: int) -> int:
    if payload < shared:
        os.kill(os.getpid(), signal.SIGKILL)
    return payload


def clocked(shared: object, payload: float) -> tuple[float, float]:
    """When it began and ended, by the clock that all processes of a machine share."""
    begin = time.monotonic()
    time.sleep(payload)
    return begin, time.monotonic()


class Held:
    """Counts how often it leaves this process."""

    sent = 0

    def __getstate__(self) -> dict[str, object]:
        Held.sent += 1
        return {}


def look_at(shared: Held, payload: int) -> int:
    return payload
