"""onert's settings of backends and its fronts: read, refused where they are wrong, written and read back."""

import json
from pathlib import Path
from typing import Any

import pytest
from edgeplan.formulation import ProfileError
from edgeplan.profiles.imports import BackendSettings, read_onert_front, write_onert_front
from edgeplan.profiles.imports.onert_pareto import mark_dominated
from hypothesis import given
from hypothesis import strategies as st


def written(folder: Path, data: object) -> Path:
    path = folder / "front.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return path


names = st.text("abcdefgXYZ_0123", min_size=1, max_size=8)


@given(
    st.lists(names, unique=True, min_size=1, max_size=3),
    st.data(),
)
def test_settings_are_read_as_they_were_written(backends: list[str], data: st.DataObject) -> None:
    one = st.sampled_from(backends)
    settings = BackendSettings(
        tuple(backends),
        data.draw(st.just("") | one),
        data.draw(st.dictionaries(st.sampled_from(["Conv2D", "Pool2D", "Add"]), one)),
        data.draw(st.dictionaries(st.integers(0, 500), one)),
    )
    assert BackendSettings.parse(settings.text()) == settings


def test_index_goes_before_type_and_type_before_all() -> None:
    settings = BackendSettings.parse(
        'export BACKENDS="cpu;acl_cl;acl_neon" OP_BACKEND_ALLOPS=cpu\nOP_BACKEND_Conv2D=acl_cl '
        "OP_BACKEND_MAP='0=acl_neon;2=cpu;'"
    )
    assert settings.backend_of(0, "Conv2D") == "acl_neon"
    assert settings.backend_of(1, "Conv2D") == "acl_cl"
    assert settings.backend_of(2, "Conv2D") == "cpu"
    assert settings.backend_of(3, "Add") == "cpu"
    assert BackendSettings.parse("OP_BACKEND_Conv2D=cpu").backend_of(3, "Add") is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "at least one setting"),
        ("cpu", "NAME=value"),
        ("PATH=here", "PATH"),
        ("BACKENDS=cpu BACKENDS=cpu", "twice"),
        ('BACKENDS="cpu;cpu"', "once"),
        ('BACKENDS="cpu', "NAME=value"),
        ('BACKENDS="cpu" OP_BACKEND_Conv2D=npu', "npu"),
        ('OP_BACKEND_MAP="0=cpu;0=cpu"', "0 twice"),
        ('OP_BACKEND_MAP="-1=cpu"', "index=backend"),
        ('OP_BACKEND_MAP="a=cpu"', "index=backend"),
        ('OP_BACKEND_MAP="1="', "index=backend"),
        (f'OP_BACKEND_MAP="{"9" * 5000}=cpu"', "index=backend"),
        ('OP_BACKEND_Conv2D="c p u"', "names"),
    ],
)
def test_bad_settings_are_refused(text: str, said: str) -> None:
    with pytest.raises(ProfileError, match="onert backend settings") as refusal:
        BackendSettings.parse(text)
    assert said in str(refusal.value)


FRONT: dict[str, Any] = {
    "mode": "name",
    "sample_cnt": 20,
    "configs": {
        "4": 'BACKENDS="acl_cl;cpu" OP_BACKEND_Pool2D=cpu OP_BACKEND_Conv2D=cpu ',
        "16": 'BACKENDS="acl_cl;cpu" OP_BACKEND_Pool2D=acl_cl OP_BACKEND_Conv2D=cpu ',
        "14": 'BACKENDS="acl_cl;cpu" OP_BACKEND_Pool2D=cpu OP_BACKEND_Conv2D=acl_cl ',
        "31": 'BACKENDS="acl_cl;cpu" OP_BACKEND_Pool2D=acl_cl OP_BACKEND_Conv2D=acl_cl ',
    },
    "oplist": ["Pool2D", "Conv2D"],
    "solutions": [
        {"id": 4, "exec_time": 76.138, "max_rss": 62712},
        {"id": 16, "exec_time": 77.0, "max_rss": 62712},
        {"id": 14, "exec_time": 22.409, "max_rss": 403120},
        {"id": 31, "exec_time": 8.201, "max_rss": 404656},
    ],
}


def test_a_front_is_read_with_its_dominated_points_marked(tmp_path: Path) -> None:
    front = read_onert_front(written(tmp_path, FRONT))
    assert [point.dominated for point in front.points] == [False, True, False, False]
    assert [point.id for point in front.front] == [31, 14, 4]
    first = front.front[0]
    assert (first.latency_us, first.rss_bytes) == (8201, 404656 * 1024)
    assert first.settings.by_type == {"Pool2D": "acl_cl", "Conv2D": "acl_cl"}
    assert front.sample_count == 20


def test_a_front_by_index_is_written_and_read_back(tmp_path: Path) -> None:
    large = 2**150  # one digit an operator
    data = FRONT | {
        "mode": "index",
        "oplist": [0, 1, 0],
        "configs": {str(large): 'BACKENDS="acl_cl;cpu" OP_BACKEND_MAP="0=cpu;1=acl_cl;2=cpu"'},
        "solutions": [{"id": large, "exec_time": 12.5, "max_rss": 100}],
    }
    front = read_onert_front(written(tmp_path, data))
    assert front.points[0].settings.backend_of(1, "Conv2D") == "acl_cl"
    write_onert_front(front, tmp_path / "again.json")
    assert read_onert_front(tmp_path / "again.json") == front


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12))
def test_dominated_points_are_those_of_the_definition(values: list[tuple[float, float]]) -> None:
    def beaten(i: int) -> bool:
        (x, y) = values[i]
        return any(
            (a <= x and b <= y and (a, b) != (x, y)) or ((a, b) == (x, y) and j < i) for j, (a, b) in enumerate(values)
        )

    assert mark_dominated(values) == tuple(beaten(i) for i in range(len(values)))


def front_with(path: str, value: object) -> dict[str, Any]:
    data = json.loads(json.dumps(FRONT))
    *way, last = [int(part) if part.isdigit() and path.startswith("solutions") else part for part in path.split(".")]
    holder: Any = data
    for part in way:
        holder = holder[part]
    if value is ...:
        del holder[last]
    else:
        holder[last] = value
    return data


BAD_FRONTS: dict[str, tuple[object, str]] = {
    "empty": ("  ", "empty file"),
    "truncated": (json.dumps(FRONT)[:100], "whole JSON"),
    "a list": ([], "an object"),
    "no mode": (front_with("mode", ...), "'mode'"),
    "unknown mode": (front_with("mode", "type"), "'name' or 'index'"),
    "no solutions": (front_with("solutions", []), "at least one solution"),
    "negative time": (front_with("solutions.0.exec_time", -1), "got -1"),
    "time is text": (front_with("solutions.0.exec_time", "fast"), "got text"),
    "NaN": (json.dumps(FRONT).replace("76.138", "NaN"), "NaN"),
    "huge memory": (front_with("solutions.0.max_rss", 1e30), "got 1e+30"),
    "memory is a fraction": (front_with("solutions.0.max_rss", 0.5), "whole number"),
    "id twice": (front_with("solutions.0.id", 16), "16 twice"),
    "id without settings": (front_with("solutions.0.id", 5), "the key '5'"),
    "id is text": (front_with("solutions.0.id", "4"), "solutions[0].id"),
    "unknown operator": (front_with("configs.4", "OP_BACKEND_Softmax=cpu"), "Softmax"),
    "unknown backend": (front_with("configs.4", 'BACKENDS="cpu" OP_BACKEND_Conv2D=npu'), "npu"),
    "settings are no settings": (front_with("configs.4", "fast"), "configs.4"),
    "operator twice": (front_with("oplist", ["Conv2D", "Pool2D", "Conv2D"]), "Conv2D twice"),
    "index beyond the list": (
        FRONT | {"mode": "index", "oplist": [0], "configs": dict.fromkeys(FRONT["configs"], 'OP_BACKEND_MAP="1=cpu"')},
        "operators of the list of 1",
    ),
}


@pytest.mark.parametrize("case", BAD_FRONTS)
def test_bad_fronts_are_refused(case: str, tmp_path: Path) -> None:
    data, said = BAD_FRONTS[case]
    with pytest.raises(ProfileError) as refusal:
        read_onert_front(written(tmp_path, data))
    assert said in str(refusal.value)
