"""Bugs of `planted.txt`, planted one by one: each must make a test fail, or a test is missing."""

from multiprocessing import get_all_start_methods

import pytest
from planting import ROOT, Project, read_bugs

BUGS = list(read_bugs())
each_bug = pytest.mark.parametrize("bug", BUGS, ids=lambda bug: f"{bug.file}: {bug.breaks}")


def test_there_are_enough_of_them():
    assert len(BUGS) >= 40
    assert len({(bug.file, bug.breaks) for bug in BUGS}) == len(BUGS)
    assert all(bug.breaks.endswith(".") and bug.old for bug in BUGS)


@each_bug
def test_every_bug_can_be_planted(bug):
    source = (ROOT / "speechbrain_tasnet" / bug.file).read_text(encoding="utf-8")
    planted = bug.plant(source)
    assert planted != source
    compile(planted, bug.file, "exec")
    assert all((ROOT / word).exists() for word in bug.tests if word.startswith("tests/"))


def test_a_bug_whose_lines_are_gone_or_there_twice_is_refused():
    bug = BUGS[0]
    for source in ("", "\n".join([*bug.old, *bug.old])):
        with pytest.raises(ValueError, match="expected one"):
            bug.plant(source)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project."""
    if "forkserver" not in get_all_start_methods():
        pytest.skip("needs the forks of a server")
    return Project(tmp_path_factory.mktemp("project"))


@pytest.mark.long
@each_bug
def test_every_bug_is_caught(project, bug):
    with project.planted(bug):
        name = project.first_failure(bug.tests)
    assert name is not None, f"{bug.breaks} No test fails of {' '.join(bug.tests)}"
    assert project.is_sound(name, bug.tests), f"{name} fails without the bug, too"
