"""``RESULTS.md``, which several scripts write: the tables of `markdown`, then a section a script."""

from pathlib import Path

RESULTS = Path(__file__).parent / "RESULTS.md"
BORDER = "<!-- Each of the sections below is written by the script that it names. -->\n"


def write_tables(page: Path, tables: str) -> None:
    """Replace what stands above the sections.

    Parameters
    ----------
    page : path-like
        Made if it is not there.
    tables : str
        Ends with a line's end.
    """
    page.write_text(f"{tables}\n{BORDER}{_sections(page)}", encoding="utf-8")


def write_section(page: Path, section: str) -> None:
    """Put a section in the place of the one with the same heading, or at the end.

    Parameters
    ----------
    page : path-like
        Made if it is not there.
    section : str
        Begins with ``## Heading`` and ends with a line's end.
    """
    text = page.read_text(encoding="utf-8") if page.exists() else BORDER
    above, _, below = text.partition(BORDER)
    sections = {_heading(part): part for part in below.split("\n## ")[1:]}
    new = section.removeprefix("## ")
    sections[_heading(new)] = new
    joined = "".join(f"\n## {part.rstrip()}\n" for part in sections.values())
    page.write_text(f"{above}{BORDER}{joined}", encoding="utf-8")


def _sections(page: Path) -> str:
    return page.read_text(encoding="utf-8").partition(BORDER)[2] if page.exists() else ""


def _heading(section: str) -> str:
    return section.partition("\n")[0]
