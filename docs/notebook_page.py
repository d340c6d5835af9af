"""The notebook as a page of the site, with what its cells show: it is run whenever the site is built."""

import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from nbclient import NotebookClient
from nbformat import NotebookNode

HERE = Path(__file__).parent
NOTEBOOK = "notebook/separate.ipynb"
PAGE = "notebook.md"
SECONDS = 600  # that a cell may take


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page."""
    text = (HERE / NOTEBOOK).read_text(encoding="utf-8")
    files.append(File.generated(config, PAGE, content=page(executed(text))))
    return files


def read(text: str) -> NotebookNode:
    """Read a notebook as it lies in a file."""
    return nbformat.reads(text, as_version=4)


@cache  # while somebody writes, the site is built again and again
def executed(text: str) -> NotebookNode:
    """Return a notebook with the outputs of its cells, which run in an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        return NotebookClient(read(text), timeout=SECONDS, resources=resources).execute()


def page(notebook: NotebookNode) -> str:
    """Return a notebook as Markdown: its text, its code and, if it was run, the outputs."""
    first, *others = notebook.cells
    download = f"This page is a notebook: [download it]({NOTEBOOK}), and open it in Jupyter to run it."
    parts = [first.source, download]
    for cell in others:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
        else:
            parts += [f"```python\n{cell.source}\n```", *shown(cell)]
    return "\n\n".join(parts) + "\n"


def shown(cell: NotebookNode) -> Iterator[str]:
    """Return what a cell shows: HTML as it is, text as code; warnings are for those who run it themselves."""
    for output in cell.outputs:
        data = output.get("data", {})
        if "text/html" in data:
            # To Markdown, an empty line ends HTML, and an indented one is code.
            lines = (line.strip() for line in data["text/html"].splitlines())
            yield "\n".join(["<div>", *filter(None, lines), "</div>"])
        elif text := data.get("text/plain") or (output.get("name") == "stdout" and output.text):
            yield f"```text\n{text.rstrip()}\n```"
