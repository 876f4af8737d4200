"""Model files that are really replaced, truncated, touched and removed."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from edgeplan.profiles import model_sha256
from edgeplan.runtime_bridge.faults import files
from edgeplan.runtime_bridge.faults.files import FileState, FileWatch

from ...conftest import write_model


def settled(watch: FileWatch, model: str = "a", limit: int = 2000) -> str:
    """The state of a model once it is decided."""
    for k in range(limit):
        watch.check(float(k))
        if watch.states[model].content != "checking":
            return watch.states[model].content
        time.sleep(0.001)
    return "checking"


def first_look(watch: FileWatch, at_us: float) -> tuple[FileState, ...]:
    """What a check says of a file that was touched just now, however late this process comes to look."""
    with pytest.MonkeyPatch.context() as busy:
        busy.setattr(files, "_FRESH_NS", 10**12)
        return watch.check(at_us)


def with_external_data(path: Path, seed: int) -> Path:
    model = onnx.load(write_model(path, seed))
    onnx.save(model, path, save_as_external_data=True, location=f"{path.stem}.data", size_threshold=0)
    return path


@pytest.fixture(params=[write_model, with_external_data], ids=["one file", "external data"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    write: Callable[[Path, int], Path] = request.param
    return write(tmp_path / "a.onnx", 0)


@pytest.fixture
def watch(path: Path) -> FileWatch:
    watch = FileWatch({"a": path}, {"a": model_sha256(path)})
    assert watch.states["a"].content == "checking"
    assert settled(watch) == "same"
    return watch


def weights(path: Path) -> Path:
    """The file with the weights."""
    data = path.with_suffix(".data")
    return data if data.exists() else path


def test_files_that_nobody_touches_are_the_same_and_are_not_read(
    path: Path, watch: FileWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "open", lambda *_, **__: pytest.fail("read again"))
    assert all(watch.check(float(k)) == () for k in range(10))


def test_a_file_that_is_replaced_and_put_back_is_replaced_and_restored(path: Path, watch: FileWatch) -> None:
    file = weights(path)
    good = file.with_suffix(".good")
    shutil.copy(file, good)
    content = bytearray(file.read_bytes())
    content[-100] ^= 1  # as long as before
    other = file.with_suffix(".other")
    other.write_bytes(content)
    os.replace(other, file)
    assert settled(watch) == "replaced"
    assert "SHA-256" in watch.states["a"].reason
    os.replace(good, file)
    (change,) = first_look(watch, 10.0)
    assert (change.model, change.content, change.since_us) == ("a", "checking", 10.0)
    assert settled(watch) == "restored"
    assert settled(watch) == "restored", "until it is touched again"


def test_a_file_that_is_changed_in_place_with_its_old_time_is_replaced(path: Path, watch: FileWatch) -> None:
    file = weights(path)
    status = file.stat()
    with file.open("r+b") as handle:
        handle.seek(-100, os.SEEK_END)
        handle.write(b"other")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert settled(watch) == "replaced"


def test_a_truncated_file_is_replaced_at_once(path: Path, watch: FileWatch) -> None:
    os.truncate(weights(path), 1000)
    (change,) = watch.check(1.0)
    assert change.content == "replaced"
    assert "bytes" in change.reason


def test_a_removed_file_is_missing_and_comes_back(path: Path, watch: FileWatch) -> None:
    file = weights(path)
    content = file.read_bytes()
    file.unlink()
    (change,) = watch.check(1.0)
    assert change.content == "missing"
    assert file.name in change.reason
    assert watch.check(2.0) == ()
    assert watch.states["a"].since_us == 1.0
    file.write_bytes(content)
    assert settled(watch) == "restored"


def test_a_file_that_is_only_touched_or_copied_over_itself_stays_the_same(path: Path, watch: FileWatch) -> None:
    weights(path).touch()
    assert settled(watch) == "same"
    copy = path.with_suffix(".copy")
    shutil.copy(path, copy)
    os.replace(copy, path)
    (change,) = first_look(watch, 1.0)
    assert change.content == "checking"
    assert settled(watch) == "same"


def test_what_changed_before_the_watch_began_is_found(path: Path) -> None:
    watch = FileWatch({"a": path}, {"a": "0" * 64})
    assert settled(watch) == "replaced"


def test_without_verification_what_is_there_is_taken_for_the_plans(path: Path) -> None:
    watch = FileWatch({"a": path}, {"a": model_sha256(path)}, verify=False)
    assert watch.states["a"].content == "same"
    assert watch.check(0.0) == ()
    os.truncate(path, 1000)
    assert watch.check(1.0)[0].content == "replaced"


def test_only_the_model_concerned_is_reported(tmp_path: Path) -> None:
    files = {name: write_model(tmp_path / f"{name}.onnx", seed) for seed, name in enumerate("abc")}
    watch = FileWatch(files, {name: model_sha256(path) for name, path in files.items()}, verify=False)
    files["b"].unlink()
    assert [change.model for change in watch.check(0.0)] == ["b"]
    assert {name: state.content for name, state in watch.states.items()} == {"a": "same", "b": "missing", "c": "same"}


def test_large_files_are_read_in_slices_and_one_that_never_rests_does_not_keep_others_waiting(tmp_path: Path) -> None:
    files = {name: with_external_data(tmp_path / f"{name}.onnx", 0) for name in ("busy", "large")}
    digest = model_sha256(files["large"])
    large = tmp_path / "large.data"
    with large.open("ab") as handle:
        handle.truncate(64 << 20)  # no tensor uses the rest, but it is part of the file
    watch = FileWatch(files, {"busy": digest, "large": model_sha256(files["large"])}, slice_us=2e3)
    os.utime(tmp_path / "busy.data", ns=(0, 0))
    checks = 0
    while watch.states["large"].content == "checking":
        os.truncate(tmp_path / "busy.data", (tmp_path / "busy.data").stat().st_size + 1)
        watch.check(float(checks))
        checks += 1
        assert checks < 5000
        time.sleep(0.001)
    assert watch.states["large"].content == "same"
    assert checks > 3, "64 MiB take longer than one slice"


def test_a_file_that_changes_while_it_is_read_is_read_again(tmp_path: Path) -> None:
    path = with_external_data(tmp_path / "a.onnx", 0)
    data = tmp_path / "a.data"
    with data.open("ab") as handle:
        handle.truncate(32 << 20)
    digest = model_sha256(path)
    watch = FileWatch({"a": path}, {"a": digest}, slice_us=1e3)
    time.sleep(0.15)
    for k in range(4):
        watch.check(float(k))
    with data.open("r+b") as handle:  # what was read already
        handle.write(b"other")
    assert settled(watch) == "replaced"


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("content", [None, b"", b"nothing"])
def test_a_file_that_was_no_model_at_the_start_is_known_once_it_is(
    path: Path, content: bytes | None, verify: bool
) -> None:
    digest, good = model_sha256(path), path.read_bytes()
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    watch = FileWatch({"a": path}, {"a": digest}, verify=verify)
    assert settled(watch) == ("missing" if content is None else "replaced")
    path.write_bytes(good)
    watch.check(1.0)
    assert settled(watch) == "restored"
