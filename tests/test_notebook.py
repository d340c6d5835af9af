"""The notebook runs from its first cell to its last, and lies in git without what it printed."""

import base64
import io
import re
from pathlib import Path

import pytest
import soundfile

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

PATH = Path(__file__).parents[1] / "docs/notebook/separate.ipynb"


@pytest.fixture(scope="module")
def notebook():
    notebook = nbformat.read(PATH, as_version=4)
    nbformat.validate(notebook)
    return notebook


def test_it_lies_in_git_without_outputs(notebook):
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in cells)
    assert max(len(line) for cell in notebook.cells for line in cell.source.splitlines()) <= 120


@pytest.mark.long
def test_it_runs_and_can_be_heard_and_seen(notebook, tmp_path):
    pytest.importorskip("espeakng_loader")
    client = nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}})
    outputs = [output for cell in client.execute().cells for output in cell.get("outputs", ())]
    shown = [str(output.data["text/html"]) for output in outputs if "text/html" in output.get("data", {})]
    signals = re.findall(r'src="data:audio/wav;base64,([^"]+)"', "".join(shown))
    assert len(signals) == 3
    for signal in signals:
        samples, rate = soundfile.read(io.BytesIO(base64.b64decode(signal)))
        assert rate == 8000
        assert samples.std() > 0.01
    assert len(re.findall('src="data:image/png;base64,', "".join(shown))) == 3
    printed = "".join(output.text for output in outputs if output.get("name") == "stdout")
    assert float(re.search(r"([-\d.]+) dB", printed)[1]) > 8
    heard = re.findall(r"(s\d) +([\d.]+) s to", printed)
    assert {speaker for speaker, _ in heard} == {"s1", "s2"}
    assert max(float(start) for _, start in heard) == pytest.approx(2, abs=0.3)
    told = [output.text for output in outputs if output.get("name") == "stderr"]
    assert not [text for text in told if "ipywidgets" not in text]  # tqdm misses them in any notebook
