"""Networks compared: a study from its YAML to its page, one that fails, one that is stopped, and a browser."""

import csv
import json
import re
import shutil
import signal
import subprocess
import sys
from itertools import groupby, pairwise
from xml.etree import ElementTree

import pytest
import yaml

from speechbrain_tasnet.cli import main
from speechbrain_tasnet.configuration.packaged import STUDIES, names_in
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.study import processes
from speechbrain_tasnet.study.contestant import run_contestant
from speechbrain_tasnet.study.costs import write_costs
from speechbrain_tasnet.study.definition import find_study, load_study
from speechbrain_tasnet.study.outcomes import read_outcomes
from speechbrain_tasnet.study.workflow import run_study, write_results

TINY = {"N": 16, "L": 16, "B": 8, "H": 16, "Sc": 8, "X": 2, "R": 1, "batch_size": 2, "segment": 0.5}
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

# Its mask network does not take what it is given.
BROKEN = """
N: !PLACEHOLDER
L: !PLACEHOLDER
encoder: !new:speechbrain_tasnet.convtasnet.Encoder {N: !ref <N>, L: !ref <L>}
masknet: !new:torch.nn.Identity {}
decoder: !new:speechbrain_tasnet.convtasnet.Decoder {N: !ref <N>, L: !ref <L>}
"""


@pytest.fixture(scope="module")
def definition(corpus, tmp_path_factory):
    """A study of four tiny contestants, one of which fails."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "broken.yaml").write_text(BROKEN)
    study = {
        "title": "Tiny & <quick>",
        "recipe": "wsj0mix",
        "budget": "6 steps",
        "validations": 2,
        "threads": 1,
        "output_folder": str(folder / "out"),
        "overrides": TINY | {"data_folder": str(corpus), "num_workers": 0, "device": "cpu", "noprogressbar": True},
        "contestants": {
            "ours": {},
            "broken": {"model": str(folder / "broken.yaml")},
            "wider (no skip_path)": {"H": 24, "Sc": 0, "seed": 3},
        },
    }
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(study, sort_keys=False))
    return path


@pytest.fixture(scope="module")
def finished(definition):
    """The study, its contestants run in this process, which has imported everything; and what was run of whom."""
    ran = []

    def run_here(words, folder, study, head, until):
        module = words[0].rpartition(".")[2]
        ran.append((module, folder.name))
        try:
            {"costs": write_costs, "contestant": run_contestant}[module](folder, words[2:])
        except Exception as error:
            return f"{type(error).__name__}: {error}"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "_run", run_here)
        folder = run_study([str(definition)])
        run_study([str(folder)])
    return folder, ran


def rows(path):
    with path.open(newline="") as file:
        return {row["contestant"]: row for row in csv.DictReader(file)}


def test_each_contestant_leaves_a_row_and_the_one_that_fails_says_why(finished):
    table = rows(finished[0] / "results.csv")
    assert list(table) == ["ours", "broken", "wider (no skip_path)"]
    assert "RuntimeError: permute" in table["broken"]["error"]
    assert table["broken"]["si_snr_i_db"] == ""
    for name in ("ours", "wider (no skip_path)"):
        row, folder = table[name], finished[0] / name
        summary = json.loads((folder / "test_results.json").read_text())["metrics"]["si-snr_i"]
        assert float(row["si_snr_i_db"]) == pytest.approx(summary["mean"], rel=1e-4)
        assert float(row["si_snr_i_db_low"]) == pytest.approx(summary["ci95"][0], rel=1e-4)
        assert (row["steps"], row["error"]) == ("6", "")
        assert float(row["training_memory_mb"]) > 0
        assert float(row["real_time_factor"]) > 0
    parameters = [float(table[name]["parameters_millions"]) for name in ("ours", "wider (no skip_path)")]
    assert parameters[0] != parameters[1]


def test_what_cannot_be_built_is_known_before_any_training(finished):
    names = ["ours", "broken", "wider (no skip_path)"]
    measured, trained = finished[1][:3], finished[1][3:5]
    assert measured == [("costs", name) for name in names]
    assert trained == [("contestant", name) for name in names if name != "broken"]


def test_started_again_it_runs_none_that_is_done_and_tries_the_others(finished):
    assert finished[1][5:] == [("costs", "broken")]


def test_all_were_fed_the_same_and_one_that_was_not_is_no_result(finished, tmp_path):
    folder = shutil.copytree(finished[0], tmp_path / "copy")
    study = load_study([str(folder), "--output_folder", str(folder)])
    ours, _, wider = read_outcomes(study, {})
    assert ours.ledger["checksums"] == wider.ledger["checksums"]
    assert not wider.error
    account = folder / wider.name / "ledger.json"
    account.write_text(account.read_text().replace(ours.ledger["checksums"][4], "00000000"))
    write_results(study, {})
    assert "from batch 4 on" in rows(folder / "results.csv")[wider.name]["error"]
    assert "fed other mixtures" in (folder / "report.html").read_text()


def test_everything_to_repeat_it_is_there(finished):
    folder = finished[0]
    assert load_study([str(folder)]) == load_study([str(folder / "study.yaml")])
    for name in ("hyperparams.yaml", "runs.json", "test_results.csv", "ledger.json", "costs.json", "report.html"):
        assert (folder / "ours" / name).exists(), name
    tex = (folder / "results.tex").read_text()
    assert r"wider (no skip\_path) & $0.00$" in tex
    assert "% broken: " in tex
    pairs = list(csv.DictReader((folder / "pairs.csv").open()))
    assert [(pair["first"], pair["second"]) for pair in pairs] == [("ours", "wider (no skip_path)")]


def test_table_and_charts_for_other_pages(finished):
    folder = finished[0]
    text = (folder / "results.md").read_text()
    table = [line.split(" |") for line in text.splitlines() if line.startswith("|")]
    assert len({len(row) for row in table if "---" not in row[0]}) == 1
    assert [row[0] for row in table[2:]] == ["| ours", "| broken", "| wider (no skip_path)"]
    assert "RuntimeError: permute" in table[3][1]
    for name in ("quality.svg", "curves.svg"):
        assert f"({name})" in text
        drawn = ElementTree.parse(folder / name).iter("{http://www.w3.org/2000/svg}text")
        assert {"ours", "wider (no skip_path)"} <= {element.text for element in drawn}


def test_another_study_does_not_go_on_in_its_folder(finished, definition):
    with pytest.raises(InputError, match=r"with budget='6 steps', now '9 steps'; choose another --output_folder"):
        run_study([str(definition), "--budget", "9 steps"])
    changed = yaml.safe_load(definition.read_text())
    changed["contestants"]["ours"] = {"X": 3}
    other = definition.with_name("changed.yaml")
    other.write_text(yaml.safe_dump(changed))
    with pytest.raises(InputError, match=r"'ours' was {}, is now {'X': 3}; give it another name"):
        run_study([str(other)])


def test_the_page_holds_all_and_asks_nobody(finished):
    page = (finished[0] / "report.html").read_text()
    assert "Tiny &amp; &lt;quick&gt;" in page
    assert not re.search(r'(?:src|href)="(?!data:|#)', page)
    assert page.count("<audio") == 3 * (1 + 2 + 2 * 2)  # mixtures; mixture, references, contestants' estimates
    for name in ("ours", "broken", "wider (no skip_path)"):
        assert f'<tr data-name="{name}">' in page
    assert "Checksums of the first 6 batches" in page


@pytest.mark.skipif(CHROMIUM is None, reason="no browser here")
def test_a_click_on_a_head_sorts_the_table(finished, tmp_path):
    """In a real browser: numbers by value, names by letter, a failure last; and the other way at the next."""
    page = (finished[0] / "report.html").read_text()
    heads = re.findall(r"<th scope=\"col\"[^>]*><button type=\"button\">([^<]*)", page)
    column = heads.index("parameters, M")
    script = f"""<script>
    const order = () => [...body.rows].map(row => row.dataset.name).join("|"), found = [order()];
    for (const head of [0, 0, {column}, {column}]) {{
      heads[head].querySelector("button").click();
      found.push(heads[head].getAttribute("aria-sort") + ": " + order());
    }}
    document.title = found.join(" / ");
    </script></body>"""
    (tmp_path / "page.html").write_text(page.replace("</body>", script))
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    command += ["--dump-dom", (tmp_path / "page.html").as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    table = rows(finished[0] / "results.csv")
    done = sorted(
        (name for name in table if not table[name]["error"]), key=lambda n: float(table[n]["parameters_millions"])
    )
    assert re.search(r"<title>(.*?)</title>", shown)[1].split(" / ") == [
        "ours|broken|wider (no skip_path)",
        "ascending: broken|ours|wider (no skip_path)",
        "descending: wider (no skip_path)|ours|broken",
        f"descending: {'|'.join([*done[::-1], 'broken'])}",
        f"ascending: {'|'.join([*done, 'broken'])}",
    ]


@pytest.mark.long
def test_real_processes_a_crash_and_a_stop(definition, tmp_path):
    """SIGTERM saves in mid-training; started again, it goes on in turns, and ends as if nothing had been."""
    options = ["--output_folder", str(tmp_path / "out"), "--budget", "400 steps"]
    command = [sys.executable, "-m", "speechbrain_tasnet.cli", "study", str(definition), *options]
    began = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for line in began.stdout:
        if "[1/3] ours: " in line and "1/2" in line:  # the bar: half of the budget is used
            began.send_signal(signal.SIGTERM)
            break
    began.communicate()
    assert began.returncode == 143
    assert list((tmp_path / "out/ours/save").glob("CKPT+*"))
    assert not (tmp_path / "out/report.html").exists()
    ended = subprocess.run([*command, "--turns", "2"], capture_output=True, text=True, check=True)
    assert "report.html: open it in a browser" in ended.stdout
    for name in ("ours", "wider (no skip_path)"):  # whose turn ended where the first one's had, at its validation
        assert "Resuming after" in (tmp_path / "out" / name / "output.txt").read_text()
    bars = re.findall(r"\[(\d)/3\].*\bvalidation", ended.stderr)
    assert [number for number, _ in groupby(bars)] == ["3", "1", "3"]
    table = rows(tmp_path / "out/results.csv")
    assert "RuntimeError: permute" in table["broken"]["error"]
    assert [table[name]["steps"] for name in ("ours", "wider (no skip_path)")] == ["400", "400"]
    accounts = [
        json.loads((tmp_path / "out" / name / "ledger.json").read_text())
        for name in table
        if not table[name]["error"]
    ]
    assert accounts[0]["checksums"] == accounts[1]["checksums"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"contestant": {}}, "contestant: no key of a study, which are budget.*; recipe keys go under"),
        ({"budget": "2 days"}, "budget='2 days': expected a number above 0 and one of steps, minutes, macs"),
        ({"budget": None}, "budget=None: expected text"),
        ({"contestants": {}}, "contestants={}: expected a mapping"),
        ({"validations": 0}, "validations=0: expected a whole number of at least 1"),
        ({"turns": 3}, "turns=3: each ends with a validation; give as many --validations"),
        ({"contestants": {"a": {"batch_size": 8}}}, "'a': batch_size is the same for all, and goes under"),
        ({"contestants": {"a": {"chunk": 8}}}, "'a': chunk is the same for all.*sizes of its network: N, L, B"),
        ({"contestants": {"a/b": {}}}, "contestant 'a/b': expected a name fit for a folder"),
        ({"contestants": {"a": 3}}, "contestant 'a': expected a mapping such as"),
        ({"contestants": {"a": {"model": "gpt"}}}, "model=gpt: no such YAML file; packaged models are"),
        ({"contestants": {"a": {"lr": 3}}}, "contestant 'a': wsj0mix.yaml: lr=3: expected a learning rate"),
        ({"overrides": {"data_folder": "nowhere"}}, "'ours': .*data_folder='nowhere': expected an existing"),
        ({"recipe": "wsj9mix"}, "wsj9mix: no such YAML file"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_study_is_said_before_any_work(definition, tmp_path, change, message):
    study = yaml.safe_load(definition.read_text()) | change
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump(study | {"output_folder": str(tmp_path / "out")}, sort_keys=False))
    with pytest.raises(InputError, match=rf"^wrong\.yaml: .*{message}"):
        run_study([str(path)])
    assert not (tmp_path / "out").exists()


def test_the_command_line_changes_the_study_and_the_recipe_of_all(definition, capsys):
    words = [str(definition), "--budget", "2 minutes", "--seed=4", "--speeds", "[0.9, 1.1]", "--N", "32"]
    study = load_study(words)
    assert (study.budget, study.seed, study.name) == ("2 minutes", 4, "tiny")
    argv = study.argv("wider (no skip_path)")
    pairs = dict(pairwise(argv))
    assert (pairs["--speeds"], pairs["--N"], pairs["--H"], pairs["--seed"]) == ("[0.9, 1.1]", "32", "24", "3")
    assert (pairs["--data_seed"], pairs["--number_of_epochs"], pairs["--budget"]) == ("4", "2", "2 minutes")
    with pytest.raises(SystemExit) as stop:
        main(["study", "tabel3"])
    assert stop.value.code == 2
    assert "packaged studies are: microphones, same, skip, table2, table3, toolkits" in capsys.readouterr().err


def test_what_is_no_text_is_no_study(tmp_path):
    (tmp_path / "mix.wav").write_bytes(b"RIFF\x80")
    with pytest.raises(InputError, match=r"mix\.wav: 'utf-8' codec"):
        load_study([str(tmp_path / "mix.wav")])


@pytest.mark.parametrize("name", names_in(STUDIES))
def test_packaged_studies_are_sound(name, corpus):
    study = load_study([name, "--data_folder", str(corpus)])
    assert study.title
    assert len(study.contestants) > 2
    assert len(find_study(name).read_text().splitlines()) <= 40


def test_sizes_for_all_reach_only_those_that_take_them_from_the_recipe(corpus):
    study = load_study(["toolkits", "--data_folder", str(corpus)])
    assert "--Sc" in study.argv("ours")
    assert "--N" not in study.argv("DPRNN")
    assert "--Sc" not in study.argv("SpeechBrain")
