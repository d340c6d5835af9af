"""Files and folders appear whole or not at all. Folders are tested with the audio that fills them."""

import pytest

from speechbrain_tasnet.files import new_file, new_folder


def test_a_file_is_replaced_only_when_complete(tmp_path):
    path = tmp_path / "deep/er/file.txt"
    with new_file(path) as partial:
        partial.write_text("old")
    with pytest.raises(RuntimeError), new_file(path) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [p.name for p in path.parent.iterdir()] == ["file.txt"]


def test_a_folder_takes_the_place_of_another_only_when_complete(tmp_path):
    out = tmp_path / "folder"
    for content in ("old", "new"):
        with new_folder(out, replace=True) as partial:
            (partial / content).write_text(content)
    assert [path.name for path in out.iterdir()] == ["new"]
    with pytest.raises(RuntimeError), new_folder(out, replace=True) as partial:
        (partial / "half").write_text("half")
        raise RuntimeError
    assert [path.name for path in out.iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
