"""Planning made quick: nothing held here hangs on how many requests plans are judged by."""

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="package")
def _few_requests() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edgeplan.solvers.policies.SIMULATED_REQUESTS", 400)
        yield
