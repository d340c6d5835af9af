"""The list of planted bugs is of the present source."""

import pytest

from benchmarks.mutations import ROOT, read_bugs

BUGS = list(read_bugs())


def test_there_are_enough_of_them():
    assert len(BUGS) >= 40
    assert all(bug.breaks.endswith(".") and bug.old for bug in BUGS)
    assert f"which of {len(BUGS)} planted bugs" in (ROOT / "README.md").read_text().replace("\n", " ")


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: f"{bug.file}: {bug.breaks}")
def test_every_bug_can_be_planted(bug):
    source = (ROOT / "speechbrain_tasnet" / bug.file).read_text()
    planted = bug.plant(source)
    assert planted != source
    compile(planted, bug.file, "exec")
    assert all((ROOT / word).exists() for word in bug.tests if word.startswith("tests/"))


def test_a_bug_whose_lines_are_gone_or_there_twice_is_refused():
    bug = BUGS[0]
    for source in ("", "\n".join([*bug.old, *bug.old])):
        with pytest.raises(ValueError, match="expected one"):
            bug.plant(source)
