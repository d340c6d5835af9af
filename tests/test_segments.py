"""Segments in SegLST and RTTM: what is written is read again, and what is neither is refused."""

import json
from pathlib import Path

import pytest

from speechbrain_tasnet.data.segments import Segment, read_segments, to_rttm, to_seglst, write_segments
from speechbrain_tasnet.errors import InputError

SEGMENTS = [Segment("alice", 0.0, 1.5), Segment("Größe", 1.25, 3.0625), Segment("alice", 70.0, 70.1)]


@pytest.mark.parametrize("kind", [str, Path])
@pytest.mark.parametrize("suffix", [".json", ".rttm"])
def test_what_is_written_is_read_again(tmp_path, suffix, kind):
    path = kind(tmp_path / f"call{suffix}")
    write_segments(path, "call", SEGMENTS)
    read = read_segments(path)
    assert [segment.speaker for segment in read] == [segment.speaker for segment in SEGMENTS]
    for one, other in zip(read, SEGMENTS, strict=True):
        assert one[1:] == pytest.approx(other[1:], abs=0.001)


def test_spaces_do_not_break_a_table():
    line = to_rttm("a call.wav", [Segment("speaker 1", 1.0, 2.0)])
    assert line == "SPEAKER a_call.wav 1 1.000 1.000 <NA> <NA> speaker_1 <NA> <NA>\n"


def test_both_tables_name_the_recording_alike(tmp_path):
    for suffix in (".json", ".rttm"):
        write_segments(tmp_path / f"a{suffix}", "my  meeting.v2", SEGMENTS[:1])
    [row] = json.loads((tmp_path / "a.json").read_text())
    assert row["session_id"] == (tmp_path / "a.rttm").read_text().split()[1] == "my_meeting.v2"


def test_further_keys_come_along():
    rows = json.loads(to_seglst("call", SEGMENTS, source=["s1", "s2", "s1"]))
    assert [row["source"] for row in rows] == ["s1", "s2", "s1"]


def test_other_lines_of_a_table_are_passed_over(tmp_path):
    path = tmp_path / "call.rttm"
    path.write_text(
        ";; a comment\nSPKR-INFO call 1 <NA> <NA> <NA> unknown alice <NA>\n\n" + to_rttm("call", SEGMENTS)
    )
    assert len(read_segments(path)) == 3


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", "{", "no SegLST"),
        ("a.json", '[{"speaker": "a"}]', "no SegLST"),
        ("a.json", "[1]", "no SegLST"),
        ("a.rttm", "SPEAKER call 1 1.0", "no RTTM"),
        ("a.rttm", "SPEAKER call 1 one 1 <NA> <NA> a <NA>", "no RTTM"),
        ("a.rttm", "SPEAKER call 1 2.0 -1.0 <NA> <NA> a <NA>", "expected 0 <= start <= end"),
        ("a.json", '[{"speaker": "a", "start_time": -1, "end_time": 2}]', "expected 0 <= start <= end"),
    ],
)
def test_what_is_neither_is_refused(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        read_segments(tmp_path / name)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.rttm: cannot be read"):
        read_segments(tmp_path / "none.rttm")
