"""Places that the benchmarks write to: sections of the documentation's pages, and a folder for everything else."""

from pathlib import Path
from textwrap import fill

from speechbrain_tasnet.system.files import write_text

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
OUTPUT = ROOT / "results/bench"  # full tables, plots and JSON, which git ignores

LEVEL = "## "
WIDTH = 120  # characters of a line of prose


def write_section(page: Path, section: str) -> None:
    """Replace the section of a page that has the same heading, or append the section.

    The old section ends where the next heading of its level begins; the rest of the page stays as it is.

    Parameters
    ----------
    page : Path
        Markdown file; it is created if it does not exist.
    section : str
        Begins with ``## Heading``.
    """
    lines = page.read_text(encoding="utf-8").splitlines() if page.exists() else []
    new = section.strip("\n").splitlines()
    heads = [number for number, line in enumerate(lines) if line.startswith(LEVEL)]
    begin = next((number for number in heads if lines[number].rstrip() == new[0].rstrip()), len(lines))
    end = next((number for number in heads if number > begin), len(lines))
    parts = ["\n".join(part).strip("\n") for part in (lines[:begin], new, lines[end:])]
    write_text(page, "\n\n".join(part for part in parts if part) + "\n")


def paragraph(text: str) -> str:
    """Break prose into lines as the documentation has them."""
    return fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)
