"""The charts of the page once more as files of their own, for papers and other pages."""

from collections.abc import Sequence

from speechbrain_tasnet.report.charts import page_template
from speechbrain_tasnet.study.figures import colours, curves, scatters
from speechbrain_tasnet.study.outcomes import Outcome


def pictures(outcomes: Sequence[Outcome], title: str) -> dict[str, str]:
    """Draw quality against each cost, and the learning curves.

    Parameters
    ----------
    outcomes : sequence of Outcome
        In the order of the study; those that failed are left out.
    title : str
        Of the study.

    Returns
    -------
    dict
        By the file's name an SVG picture; what cannot be shown is not there.
    """
    charts = {"quality.svg": ("gains", scatters(outcomes)), "curves.svg": ("learning", curves(outcomes))}
    template = page_template("study/picture.svg.j2")
    return {
        name: template.render(title=title, kind=kind, charts=found, colours=colours(outcomes))
        for name, (kind, found) in charts.items()
        if found
    }
