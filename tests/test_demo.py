"""`make demo` as a newcomer runs it. It takes minutes: `make test-long`."""

import json
import os
import subprocess
import sys

import pytest


@pytest.mark.long
def test_the_demo_separates_voices_it_has_never_heard(tmp_path):
    # On a slow machine, too, it has heard enough by then.
    command = [sys.executable, "-m", "speechbrain_tasnet.cli", "demo", "--minutes", "8"]
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    summary = json.loads((tmp_path / "results/demo/run/test_results.json").read_text())
    assert summary["metrics"]["si-snr_i"]["mean"] >= 5
    assert str(tmp_path / "results/demo/run/report.html") in done.stdout
    assert len(list((tmp_path / "results/demo/separated").glob("*.wav"))) == 2
