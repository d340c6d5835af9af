"""What a page shows of a separated recording: players, spectrograms, and who speaks when."""

from pathlib import Path
from urllib.parse import quote

from speechbrain_tasnet.app.recording import Separated
from speechbrain_tasnet.app.spectrogram import overview
from speechbrain_tasnet.report.charts import page_template
from speechbrain_tasnet.report.media import RAMPS, picture_uri
from speechbrain_tasnet.report.timeline import WIDTH, lay_out_turns

FAINTEST = -60.0  # dB of the loudest place in a picture; silence is dark
FILES = "gradio_api/file="  # relative to the page, which may lie behind a proxy


def show(separated: Separated, highest: float, kept: Path | None) -> str:
    """Return a result as HTML.

    Parameters
    ----------
    separated : Separated
        The files, which the page's server gives out.
    highest : float
        Frequency in Hz up to which spectrograms go.
    kept : Path, optional
        Where copies of the files stay.
    """
    turns = [(int(segment.speaker[1:]) - 1, segment.start, segment.end) for segment in separated.segments]
    timeline = lay_out_turns({"estimate": turns}, len(separated.voices), separated.seconds)
    spectra = {path: overview(path, highest) for path in (separated.mixture, *separated.voices)}
    top = max(FAINTEST, spectra[separated.mixture].max().item())
    signals = [("mixture", "Mixture", separated.mixture)]
    signals += [("estimate", f"Voice {number}", path) for number, path in enumerate(separated.voices, start=1)]
    left, right = timeline["x"](0), timeline["x"](separated.seconds)
    return page_template("app/result.html.j2").render(
        name=separated.name,
        seconds=separated.seconds,
        kept=kept,
        signals=[
            {"role": role, "label": label, "file": path}
            | {"picture": picture_uri(spectra[path], top, RAMPS[role])}
            for role, label, path in signals
        ],
        count=len(separated.voices),
        archive=separated.archive,
        tables=separated.tables,
        timeline=timeline,
        # In percent of the width: the pictures share the timeline's axis.
        left=100 * left / WIDTH,
        width=100 * (right - left) / WIDTH,
        khz=highest / 1000,
        address=_address,
    )


def show_problem(problem: str) -> str:
    """Return as HTML what is wrong with a recording."""
    return page_template("app/problem.html.j2").render(problem=problem)


def _address(path: Path) -> str:
    """Return where the page finds a file."""
    return FILES + quote(path.as_posix(), safe="/:")
