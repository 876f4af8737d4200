"""The backend keeps EdgePlan's contract."""

import pytest
from edgeplan.formulation import UnsupportedError
from edgeplan.profiles import ProfileSettings, local_platform
from edgeplan.profiles.backends.contract import check_backend
from edgeplan_reference_backend import ReferenceBackend


def test_contract() -> None:
    check_backend(ReferenceBackend())


def test_installed_it_is_offered_by_name() -> None:
    processor = local_platform().processors[0]
    settings = ProfileSettings(backends=("onnx-reference",), threads=(1,))
    try:
        (configuration,) = settings.configurations(processor)
    except UnsupportedError as error:  # run from the source tree: nothing is registered
        pytest.skip(str(error))
    assert configuration.name == "onnx-reference/t1/b1/default"
