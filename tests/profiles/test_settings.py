"""Settings: which configurations come of them."""

from __future__ import annotations

import pytest
from edgeplan.formulation import Processor, UnsupportedError
from edgeplan.profiles import FoundBackend, ProfileSettings

FOUND = (
    FoundBackend("onnxruntime-cpu", "1.0", ("mapped", "prepacked")),
    FoundBackend("openvino-cpu", "1.0", ("default",)),
    FoundBackend("onnxruntime-odd", reason="it does not load"),
)


def names(settings: ProfileSettings, cores: int = 2) -> list[str]:
    processor = Processor(name="cpu", cores=tuple(range(cores)), memory="ram")
    return [c.name for c in settings.configurations(processor, FOUND)]


def test_everything_found_is_measured() -> None:
    assert names(ProfileSettings()) == [
        "onnxruntime-cpu/t1/b1/mapped",
        "onnxruntime-cpu/t2/b1/mapped",
        "onnxruntime-cpu/t1/b1/prepacked",
        "onnxruntime-cpu/t2/b1/prepacked",
        "openvino-cpu/t1/b1/default",
        "openvino-cpu/t2/b1/default",
    ]


def test_quick_leaves_out_second_forms_on_more_threads() -> None:
    assert names(ProfileSettings(quick=True)) == [
        "onnxruntime-cpu/t1/b1/mapped",
        "onnxruntime-cpu/t2/b1/mapped",
        "onnxruntime-cpu/t1/b1/prepacked",
        "openvino-cpu/t1/b1/default",
        "openvino-cpu/t2/b1/default",
    ]


def test_thread_counts_are_powers_of_two_and_all_cores() -> None:
    settings = ProfileSettings(backends=("openvino-cpu",))
    assert [name.split("/")[1] for name in names(settings, 6)] == ["t1", "t2", "t4", "t6"]


def test_what_is_named_is_measured() -> None:
    settings = ProfileSettings(backends=("onnxruntime-cpu",), threads=(2,), forms=("prepacked",), batches=(1, 4))
    assert names(settings) == ["onnxruntime-cpu/t2/b1/prepacked", "onnxruntime-cpu/t2/b4/prepacked"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (ProfileSettings(backends=("onnxruntime-odd",)), "it does not load"),
        (ProfileSettings(backends=("abacus",)), "an unknown name"),
        (ProfileSettings(threads=(3,)), r"1 … 2"),
        (ProfileSettings(threads=(0,)), r"1 … 2"),
        (ProfileSettings(forms=("folded",)), "folded"),
    ],
)
def test_what_is_not_there_is_refused(settings: ProfileSettings, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        names(settings)
