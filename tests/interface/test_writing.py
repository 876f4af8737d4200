"""Folders that one run holds at a time, and places that cannot be written to."""

import errno
import threading
from pathlib import Path

import pytest
from edgeplan.interface.output import OutputError
from edgeplan.interface.writing import held, writing


def test_a_second_run_waits_for_the_first_and_says_so(tmp_path: Path) -> None:
    order: list[str] = []
    waits = threading.Event()

    def say(line: str) -> None:
        order.append(line)
        waits.set()

    def second() -> None:
        with held(tmp_path / "out", say):
            order.append("second")

    with held(tmp_path / "out", order.append):
        thread = threading.Thread(target=second)
        thread.start()
        assert waits.wait(20)
        order.append("first")
    thread.join(20)
    assert not thread.is_alive()
    assert order == [f"edgeplan: waiting for another run in {tmp_path / 'out'}", "first", "second"]


def test_a_folder_that_nobody_holds_is_not_waited_for(tmp_path: Path) -> None:
    for _ in range(2):
        with held(tmp_path, pytest.fail):
            pass


def test_who_interrupts_is_told_that_the_folder_keeps_what_is_finished(tmp_path: Path) -> None:
    said: list[str] = []
    with pytest.raises(KeyboardInterrupt), held(tmp_path, said.append):
        raise KeyboardInterrupt
    assert said == [f"edgeplan: what is finished is kept in {tmp_path}; the same command goes on from there"]


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file"), held(tmp_path / "file", print):
        pass


def test_a_full_disk_is_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No space left") as told, writing(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert str(tmp_path) in told.value.subject
