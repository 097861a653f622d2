from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyeye_edge.core.errors import DataError
from skyeye_edge.training.data.readers.json_files import read_array, read_lists

PLAIN = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
RECORD = st.dictionaries(st.text(max_size=4), PLAIN | st.lists(PLAIN, max_size=2), max_size=3)
OTHER = PLAIN | RECORD | st.lists(PLAIN, max_size=3)


@given(
    lists=st.dictionaries(st.text(max_size=4), st.lists(RECORD, max_size=4), max_size=3),
    other=st.dictionaries(st.text(max_size=4).map("x {}".format), OTHER, max_size=3),
    indent=st.sampled_from([None, 0, 2]),
)
def test_records_come_as_json_has_them_with_the_lines_they_begin_on(
    tmp_path_factory: pytest.TempPathFactory,
    lists: dict[str, list[dict[str, object]]],
    other: dict[str, object],
    indent: int | None,
) -> None:
    file = tmp_path_factory.mktemp("json") / "a.json"
    text = json.dumps({**other, **lists}, indent=indent)
    file.write_text(text, "utf-8")
    lines = text.split("\n")

    found: dict[str, list[dict[str, object]]] = {}
    for key, entry in read_lists(file, *lists) if lists else ():
        records = found.setdefault(key, [])
        if entry is not None:
            records.append(dict(entry.values))
            assert "{" in lines[entry.line - 1]

    assert found == lists


def test_a_list_is_found_by_its_name_at_the_top_alone(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text('{"info": {"images": [{"id": 1}]}, "images": [{"id": 2}]}')

    assert [entry.values for entry in read_array(file, "images")] == [{"id": 2}]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"images": [{"id": 1}', ":1: not JSON"),
        ('{"images" [{}]}', ":1: not JSON: a name in quotes and a colon are missing"),
        ('{"images": [\n{},\n7]}', r":3: 7 is no JSON object"),
        ('{"images": 3}', "no list called images"),
    ],
)
def test_what_is_no_list_of_records_is_said(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "a.json"
    file.write_text(text)

    with pytest.raises(DataError, match=says):
        list(read_array(file, "images"))
