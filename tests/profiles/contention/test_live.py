"""Co-runs on the live backends: what is refused before anything is opened, and that a file comes out whole."""

import json
from pathlib import Path

import pytest
from edgeplan.formulation import (
    Activity,
    ModelError,
    Platform,
    ProfileError,
    StalePlanError,
    UnsupportedError,
    co_run_slowdowns,
)
from edgeplan.interface.cli import app
from edgeplan.profiles import local_platform
from edgeplan.profiles.contention import ContentionSettings, MeasuredContention, live, measure_contention
from typer.testing import CliRunner

TINY = ContentionSettings(
    backends=("onnxruntime-cpu",),
    batches=(1, 2),
    probes=1,
    held_out_pairs=2,
    held_out_triples=2,
    window_s=0.01,
    rounds=1,
)


@pytest.fixture
def unopened(monkeypatch: pytest.MonkeyPatch) -> None:
    """No backend may be opened."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} was opened")

    monkeypatch.setattr(live, "open_backend", refuse)


@pytest.fixture(scope="module")
def measured(
    chain_path: Path, branching_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[MeasuredContention, Path]:
    output = tmp_path_factory.mktemp("contention") / "contention.json"
    models = {"chain": chain_path, "branching": branching_path}
    return measure_contention(models, local_platform(), TINY, output), output


def test_what_was_measured_is_written_whole(measured: tuple[MeasuredContention, Path]) -> None:
    made, path = measured
    assert MeasuredContention.load(path) == made
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    assert {m.name for m in made.models} == {"chain", "branching"}
    assert all(len(m.sha256) == 64 for m in made.models)
    contention = made.contention
    assert {i for run in made.fitted for i in run.members} == set(range(len(contention.activities)))
    assert contention.provenance.kind == "measured"
    assert contention.provenance.fingerprint == made.platform.fingerprint
    assert (contention.relative_error is None) == (not made.held_out)
    assert {(c.model, c.configuration.batch) for c in made.throughput} == {
        (model, batch) for model in ("chain", "branching") for batch in (1, 2)
    }


def test_the_file_predicts_as_the_model_it_holds_does(measured: tuple[MeasuredContention, Path]) -> None:
    made, path = measured
    cores = len(made.platform.processors[0].cores)
    company = [made.contention.activities[i] for i in (0, 1, 1)]
    predicted = MeasuredContention.load(path).predict(company)
    assert [p.slowdown for p in predicted] == pytest.approx(co_run_slowdowns(company, cores))
    assert all(p.low <= p.slowdown <= p.high for p in predicted)
    with pytest.raises(ProfileError, match="that were measured, got other x"):
        made.predict([Activity(model="other", configuration="x")])


@pytest.mark.usefixtures("unopened")
def test_a_batch_that_a_graph_cannot_take_is_refused_first(
    fixed_batch_path: Path, chain_path: Path, tmp_path: Path
) -> None:
    models = {"chain": chain_path, "fixed": fixed_batch_path}
    with pytest.raises(UnsupportedError, match="batch 2 of model fixed") as refused:
        measure_contention(models, local_platform(), TINY, tmp_path / "c.json")
    assert "dynamic batch" in refused.value.remedy
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("unopened")
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"instances": (10_000,)}, "each on cores of its own"),
        ({"threads": (10_000,)}, "cores of the processor"),
        ({"backends": ("nosuch",)}, "an unknown name"),
        ({"forms": ("nosuch",)}, "session forms"),
        ({"batches": (0,)}, "batch sizes"),
        ({"co_run_batches": (3,)}, "batch sizes in co-runs"),
    ],
)
def test_settings_that_do_not_fit_the_machine_are_refused_first(
    change: dict[str, object], words: str, chain_path: Path
) -> None:
    with pytest.raises(UnsupportedError, match=words):
        measure_contention({"chain": chain_path}, local_platform(), TINY.model_copy(update=change))


@pytest.mark.usefixtures("unopened")
def test_sizes_make_a_model_static_so_that_it_takes_one_batch(chain_path: Path) -> None:
    shapes = {"t0": (1, 8, 20, 20)}
    with pytest.raises(UnsupportedError, match="batch 2 of model chain"):
        measure_contention({"chain": chain_path}, local_platform(), TINY, shapes=shapes)
    with pytest.raises(ModelError, match="--shape"):
        measure_contention({"chain": chain_path}, local_platform(), TINY, shapes={"nosuch": (1,)})


def test_another_machine_is_refused(chain_path: Path) -> None:
    platform = Platform.model_validate(local_platform().model_dump() | {"fingerprint": "another"})
    with pytest.raises(StalePlanError):
        measure_contention({"chain": chain_path}, platform, TINY)


def test_broken_files_are_refused(measured: tuple[MeasuredContention, Path], tmp_path: Path) -> None:
    text = measured[1].read_text()
    for broken in ("", text[: len(text) // 2], json.dumps(json.loads(text) | {"schema_version": 2})):
        path = tmp_path / "broken.json"
        path.write_text(broken)
        with pytest.raises(ProfileError, match="edgeplan co-run"):
            MeasuredContention.load(path)
    with pytest.raises(ProfileError):
        MeasuredContention.load(tmp_path / "absent.json")


def test_the_command_prints_what_it_wrote(chain_path: Path, fixed_batch_path: Path, tmp_path: Path) -> None:
    output = tmp_path / "contention.json"
    arguments = ["co-run", str(chain_path), "-o", str(output), "--backend", "onnxruntime-cpu", "--threads", "1"]
    arguments += ["--window", "0.05", "--rounds", "1", "--probes", "1", "--held-out", "1"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    for words in ("Contention", "Error of predicted throughput", "Throughput by batch and instances", str(output)):
        assert words in result.stdout
    said = CliRunner().invoke(app, [*arguments, "--format", "json"])
    assert json.loads(said.stdout)["activities"][0]["model"] == "chain"
    refused = CliRunner().invoke(app, ["co-run", str(fixed_batch_path), "--batch", "4", "-o", str(output)])
    assert refused.exit_code == 2
    assert "leading dimension" in refused.stderr
