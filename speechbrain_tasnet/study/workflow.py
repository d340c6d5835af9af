"""A whole study: check, run the contestants, compare, write."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import yaml

from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.study.definition import Study, load_study
from speechbrain_tasnet.study.figures import pictures
from speechbrain_tasnet.study.outcomes import read_outcomes
from speechbrain_tasnet.study.page import study_markdown, study_page
from speechbrain_tasnet.study.processes import run_contestants, run_in_jobs
from speechbrain_tasnet.study.statistics import compare_all
from speechbrain_tasnet.study.tables import pairs_csv, results_csv, results_tex
from speechbrain_tasnet.system.files import write_text
from speechbrain_tasnet.system.locks import exclusive
from speechbrain_tasnet.system.parallel import Launcher
from speechbrain_tasnet.system.termination import Termination

DEFINITION = "study.yaml"
JOBS = ".jobs"


def run_study(argv: Sequence[str], launch: Callable[[Path, int], Launcher] | None = None) -> Path:
    """Run or continue a study: contestants that are done are not run again.

    Parameters
    ----------
    argv : sequence of str
        As `definition.load_study` takes it.
    launch : callable, optional
        Makes a launcher, of the folder for its jobs and the threads of a contestant: contestants are then trained
        at the same time, in jobs.

    Returns
    -------
    Path
        The output folder: ``report.html``, ``results.csv``, ``pairs.csv``, ``results.tex``, ``results.md`` with
        its pictures, ``study.yaml`` and, for each contestant, the folder of an ordinary experiment.

    Raises
    ------
    InputError
        A file or a value is not as it should be, or the folder holds another study.
    """
    study = load_study(argv)
    folder = study.folder()
    _check_same(folder / DEFINITION, study)
    folder.mkdir(parents=True, exist_ok=True)
    with exclusive(folder / ".lock", folder), Termination():
        write_text(folder / DEFINITION, study.as_yaml())
        if launch is None:
            failures = run_contestants(study)
        else:
            failures = run_in_jobs(study, launch(folder / JOBS, study.threads))
        write_results(study, failures)
    return folder


def write_results(study: Study, failures: Mapping[str, str]) -> None:
    """Compare what the contestants have left, and write tables and page.

    Parameters
    ----------
    study : Study
        Whose folder is written to.
    failures : mapping
        By name, why a contestant failed.
    """
    outcomes = read_outcomes(study, failures)
    pairs = compare_all({o.name: o.scores("si-snr_i") for o in outcomes if not o.error})
    folder = study.folder()
    write_text(folder / "results.csv", results_csv(outcomes))
    write_text(folder / "pairs.csv", pairs_csv(pairs))
    write_text(folder / "results.tex", results_tex(outcomes, f"{study.title}, {study.budget} each."))
    write_text(folder / "results.md", study_markdown(study, outcomes, pairs))
    for name, picture in pictures(outcomes, study.title).items():
        write_text(folder / name, picture)
    write_text(folder / "report.html", study_page(study, outcomes, pairs))


def _check_same(path: Path, study: Study) -> None:
    """Refuse to continue with results from other settings; contestants may be added, and left out."""
    if not path.exists():
        return
    before = yaml.safe_load(path.read_text(encoding="utf-8"))
    now = yaml.safe_load(study.as_yaml())
    for key in ("recipe", "budget", "overrides", "validations", "seed"):
        if before.get(key) != now[key]:
            raise InputError(
                f"{path}: a study with {key}={before.get(key)!r}, now {now[key]!r}; choose another "
                "--output_folder, or delete this one"
            )
    for name, own in now["contestants"].items():
        if before["contestants"].get(name, own) != own:
            was = before["contestants"][name]
            raise InputError(f"{path}: contestant {name!r} was {was}, is now {own}; give it another name")
