"""The arithmetic of the benchmarks, their order of turns and their pages; the other toolkits are not needed."""

import importlib
import os
import signal
import sys
from contextlib import closing, contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmarks import page
from benchmarks.speed import bench, cost, markdown, neighbour, networks, peak, plan, roofs
from benchmarks.speed.__main__ import report
from benchmarks.speed.contestants import Contestant, Entry, draw
from benchmarks.speed.players import Player
from benchmarks.speed.remote import Remote, attempt
from benchmarks.speed.results import INFERENCE, OURS, TRAINING, Cell, Memory, Results, Row, load, roof, save
from benchmarks.speed.rounds import Rounds, alternate
from benchmarks.speed.sizes import SIZES, Sizes
from speechbrain_tasnet.system import memory

TINY = Sizes(N=16, L=16, B=8, H=16, Sc=8, P=3, X=2, R=1)
CELL = Cell("best", INFERENCE, batch=2, seconds=4)


UNLUCKY = """
N: !PLACEHOLDER
L: !PLACEHOLDER
C: !PLACEHOLDER
encoder: !new:speechbrain_tasnet.convtasnet.Encoder {N: !ref <N>, L: !ref <L>}
masknet: !new:test_benchmarks.Unlucky {C: !ref <C>}
decoder: !new:speechbrain_tasnet.convtasnet.Decoder {N: !ref <N>, L: !ref <L>}
"""


class Unlucky(torch.nn.Module):
    """Makes masks for up to two mixtures at once, is killed by three and crashes at four."""

    runs = 0

    def __init__(self, C):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.rand(C, 1, 1, 1))

    def forward(self, mixture_w):
        Unlucky.runs += 1
        if len(mixture_w) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        if len(mixture_w) == 4:
            raise RuntimeError("out of | luck\nand more")
        return self.gain.expand(-1, *mixture_w.shape)


@pytest.fixture(scope="module")
def unlucky(tmp_path_factory):
    """A contestant whose model file is our own."""
    path = tmp_path_factory.mktemp("models") / "unlucky.yaml"
    path.write_text(UNLUCKY, encoding="utf-8")
    return Contestant("unlucky", str(path), "float32")


def entry(model, precision="float32"):
    return Entry(Contestant("", model, precision), TINY, "cpu")


def always(seconds):
    """Turns that take so long, or so they say."""
    return lambda: (seconds, None)


def make_row(**fields):
    defaults = {
        "cell": CELL,
        "name": OURS,
        "precision": "float32",
        "peak": 1e11,
        "product": 2e11,
        "parameters": 5_000_000,
    }
    return Row(**defaults | fields)


def test_median_quartiles_and_share():
    row = make_row(times=(4.0, 1.0, 2.0, 3.0, 10.0))
    assert row.median == 3
    assert row.quartiles == (2, 4)
    assert row.share(row.peak) == pytest.approx(0.8 / 3)  # 2 * 5e6 parameters * 8000 frames / 1e11


def test_training_counts_three_times_and_frames_are_half_a_filter_apart():
    assert roof(CELL._replace(kind=TRAINING), 1000, 1e9) == pytest.approx(3 * roof(CELL, 1000, 1e9))
    assert roof(CELL._replace(sizes="small"), 1000, 1e9) == pytest.approx(roof(CELL, 1000, 1e9) / 2)


def test_turns_alternate_and_the_warm_up_does_not_count():
    order = []
    turns = {name: lambda n=name: (order.append(n) or len(order), None) for name in "ABC"}
    outcomes = alternate(turns, Rounds(3, 9, 0, warm_up=True))
    assert "".join(order) == 4 * "ABC"
    assert outcomes["B"].times == [5, 8, 11]


def test_rounds_go_on_while_there_is_time_but_not_for_ever():
    assert len(alternate({"A": always(1.0)}, Rounds(1, 7, 60))["A"].times) == 7


def test_a_failure_gives_its_reason_and_the_others_go_on():
    answers = iter([(1.0, None), (None, "tired")])
    outcomes = alternate({"A": lambda: next(answers), "B": always(2.0)}, Rounds(4, 4, 0))
    assert outcomes["A"].why == "tired"
    assert outcomes["B"].why is None
    assert outcomes["B"].times == [2.0] * 4


def test_a_reason_that_goes_on_in_the_next_line_is_not_cut_off_before_it():
    def fail(text):
        raise RuntimeError(text)

    torchs = "backend='inductor' raised:\nInductorError: no compiler\nSet TORCHDYNAMO_VERBOSE=1"
    assert attempt(fail, torchs) == (None, "InductorError: no compiler")
    assert attempt(fail, "no memory\nat all") == (None, "RuntimeError: no memory")


def test_an_object_elsewhere_answers_fails_dies_and_starts_again():
    remote = Remote(importlib.import_module, "os")
    assert remote.ask("getpid") == (None, "the process was not started")
    remote.start()
    first, why = remote.ask("getpid")
    assert first != os.getpid()
    assert why is None
    assert remote.ask("stat", "nowhere")[1].startswith("FileNotFoundError: ")
    assert remote.ask("getpid") == (first, None)
    killed = "the process was killed by SIGKILL, perhaps for lack of memory"
    assert remote.ask("kill", first, signal.SIGKILL) == (None, killed)
    assert remote.ask("getpid") == (None, killed)
    assert not remote.alive
    remote.start()
    assert remote.ask("getpid")[0] not in (None, first)
    assert remote.ask("_exit", 3) == (None, "the process ended with status 3")
    remote.start()
    last, _ = remote.ask("getpid")
    remote.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(last, 0)


def test_quick_cells_are_the_first_of_all():
    quick = plan.plan_cells("cpu", quick=True)
    cells = plan.plan_cells("cpu", quick=False)
    assert cells[: len(quick)] == quick
    assert len(set(cells)) == len(cells) == 22
    assert quick[0] == CELL


def test_long_cells_are_run_once_or_left_out():
    rows = [make_row(times=(1.0,)), make_row(name="other", times=(3.0,))]  # half a second a second of audio
    whole = 1200
    assert plan.plan_rounds(CELL._replace(seconds=1), whole, rows).least == plan.LEAST
    assert plan.plan_rounds(CELL._replace(seconds=60), whole, rows) == Rounds(1, 1, 0)
    assert plan.plan_rounds(CELL._replace(batch=20, seconds=60), whole, rows).startswith(
        "too long: about 10 minutes"
    )


def test_what_does_not_fit_is_left_out():
    measured = Memory(CELL, OURS, "float32", increase=10**9)
    large = CELL._replace(seconds=60)
    assert plan.shortage(large, measured, available=30 * 10**9) is None
    assert "needs about 15 GB" in plan.shortage(large, measured, available=16 * 10**9)
    assert plan.shortage(large, Memory(CELL, OURS, "float32", why="killed"), 10**12) == "killed"


def test_the_page_holds_every_row(tmp_path):
    rows = [
        make_row(times=(2.0, 2.0, 2.5), delta=1.5e-7),
        make_row(name="slow", times=(4.0, 5.0, 7.0), delta=2.5e-7),
        make_row(name="absent", why="ModuleNotFoundError: No module named 'absent'"),
        make_row(cell=Cell("small", TRAINING, 2, 1.5), times=(0.5,)),
    ]
    peaks = [
        Memory(CELL, "slow", "float32", increase=1_234_000_000),
        Memory(CELL, "absent", "float32", why="killed"),
    ]
    results = Results({"processor": "abacus"}, rows, peaks)
    save(results, tmp_path / "results.json")
    assert load(tmp_path / "results.json") == results
    text = markdown.render(results, "results.png")
    assert "| processor | abacus |" in text
    assert "| speechbrain_tasnet | float32 | 2 | 0.25 | 3 | 4 | 40 % | 20 % | 1.00 | 1.5e-07 |" in text
    assert "| slow | float32 | 5 | 1.5 | 3 | 1.6 | 16 % | 8 % | 2.50 | 2.5e-07 |" in text
    assert "| absent | float32 | ModuleNotFoundError: No module named 'absent' |" in text
    assert "### Training, 2 x 1.5 s" in text
    assert "| slow | float32 | 1,234 MB |" in text
    assert "| absent | float32 | killed |" in text


def test_a_section_replaces_the_one_of_its_name_and_leaves_the_rest(tmp_path):
    path = tmp_path / "docs/live.md"
    page.write_section(path, "## Live\n\nslow\n")
    assert path.read_text() == "## Live\n\nslow\n"
    path.write_text(
        "# Streams\n\nBy hand.\n\n## Live\n\nslow\n\n### Detail\n\n1\n## Late\nvery\n\n\n## Lively\n\n2\n"
    )
    page.write_section(path, "## Live\n\nfast\n\n### More\n")
    page.write_section(path, "## New\n\n3\n")
    above, *sections = path.read_text().split("\n## ")
    assert above == "# Streams\n\nBy hand.\n"
    assert sections == ["Live\n\nfast\n\n### More\n", "Late\nvery\n\n", "Lively\n\n2\n", "New\n\n3\n"]


def test_the_full_page_is_apart_from_the_sections_of_the_documentation(tmp_path, capsys, monkeypatch):
    plot = SimpleNamespace(draw=lambda results, path: path.write_bytes(b"drawn by matplotlib"))
    monkeypatch.setitem(sys.modules, "benchmarks.speed.plot", plot)
    rows = [make_row(times=(2.0, 3.0))]
    save(
        Results({"processor": "abacus"}, rows, [Memory(CELL, OURS, "float32", increase=1)]),
        tmp_path / "r/all.json",
    )
    (tmp_path / "speed.md").write_text("# Speed\n\n## Why\n\nSo.\n\n## Summary\n\nold\n")
    report(tmp_path / "r", "all", tmp_path / "speed.md")
    assert sorted(path.name for path in (tmp_path / "r").iterdir()) == ["all.json", "all.md", "all.png"]
    text = (tmp_path / "speed.md").read_text()
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        "# Speed",
        "## Why",
        "## Summary",
        "## Machine",
        "## Memory",
    ]
    assert "old" not in text
    assert "abacus" in text
    assert "![" not in text
    assert capsys.readouterr().out


def test_the_summary_has_both_kinds_side_by_side_and_ours_last():
    rows = [
        make_row(times=(2.0,)),
        make_row(name="slow", times=(4.0,)),
        make_row(name="absent", why="killed"),
        make_row(cell=CELL._replace(kind=TRAINING), times=(6.0,), first=12.0),
        make_row(cell=CELL._replace(seconds=60), times=(99.0,)),
    ]
    lines = markdown.summary(Results({"processor": "abacus"}, rows, [])).splitlines()
    assert lines[0] == "abacus."
    assert lines[2] == "N512 L16 B128 H512 Sc128 P3 X8 R3 C2, 2 x 4 s at 8000 Hz."
    assert lines[3] == "Peak and product, GFLOP/s: float32 100 and 200."
    assert lines[-3:] == [
        "| slow | float32 | 4 | 20 % | 10 % |  |  |  |  |",
        "| absent | float32 | killed |  |  |  |  |  |  |",
        "| speechbrain_tasnet | float32 | 2 | 40 % | 20 % | 6 | 40 % | 20 % | 12 |",
    ]


def test_torchaudio_has_our_weights():
    mixture, sources = draw(2, 0.1, TINY.C, "cpu")
    ours, theirs = entry("convtasnet"), entry("torchaudio")
    assert ours.parameters == theirs.parameters
    torch.testing.assert_close(ours.inference(mixture, sources), theirs.inference(mixture, sources))
    torch.testing.assert_close(ours.training(mixture, sources), theirs.training(mixture, sources))
    with pytest.raises(ValueError, match="B=8, Sc=4: torchaudio's skip path"):
        networks.build("torchaudio", TINY._replace(Sc=4))


def test_networks_are_those_of_the_model_files_at_other_sizes():
    theirs = networks.build("speechbrain", TINY, norm_type="cLN", causal=True)
    assert theirs(torch.randn(2, 500)).shape == (2, 500, TINY.C)
    assert "Chomp1d" in str(theirs.masknet)  # which causal convolutions alone have
    causal = networks.build("causal", TINY)
    assert causal.masknet.config["norm"] == "cumulative"
    assert not causal.encoder.edge_padding


def test_deviation_tells_precisions_apart():
    assert bench.deviation(np.float32([1, -5]), np.float64([2, -4])) == 0.25
    mixture, sources = draw(1, 0.1, TINY.C, "cpu")
    full, half = (entry("convtasnet", precision) for precision in ("float32", "bfloat16"))
    truth = full.truth(mixture).numpy()
    deviations = [bench.deviation(model.inference(mixture, sources).numpy(), truth) for model in (full, half)]
    assert deviations[0] < 1e-5 < deviations[1] < 5e-2


def test_an_untimed_run_comes_first_where_memory_was_given_back(unlucky, monkeypatch):
    def runs(warm_up):
        before = Unlucky.runs
        seconds, estimates = player.turn(warm_up)
        assert seconds > 0
        assert estimates.shape == (1, 800, TINY.C)
        return Unlucky.runs - before

    monkeypatch.setattr(memory, "RELEASE_ABOVE", 2**60)
    player = Player(unlucky, "cpu")
    parameters, first_run = player.prepare(TINY, INFERENCE, 2, 0.1)
    assert parameters == TINY.C + 2 * TINY.N * TINY.L
    assert first_run > 0
    assert [runs(warm_up=True) for _ in range(3)] == [2, 1, 1]
    player.give_back()
    assert runs(warm_up=True) == 2
    player.give_back()
    assert runs(warm_up=False) == 1
    monkeypatch.setattr(memory, "RELEASE_ABOVE", 1)
    assert [runs(warm_up=True) for _ in range(3)] == [1, 2, 2]


@pytest.fixture(scope="module")
def arena(unlucky):
    """A contestant like any other and an unlucky one, in real processes, with tiny networks and a small product.

    Starting them takes seconds, so the tests below share them.
    """
    contestants = [Contestant(OURS, "convtasnet", "float32"), unlucky]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SIZES, "tiny", TINY)
        patch.setattr(bench, "PRODUCT", 64)
        with closing(bench.Arena(contestants, "cpu")) as arena:
            yield arena


@pytest.mark.parametrize("kind", [INFERENCE, TRAINING])
def test_all_contestants_are_measured(arena, kind):
    rows = arena.measure(Cell("tiny", kind, 2, 0.1), 0, Results({}, [], []))
    for row, (contestant, player) in zip(rows, arena.players.items(), strict=True):
        assert row.label == contestant.label
        assert len(row.times) == plan.LEAST
        assert min(*row.times, row.peak, row.product, row.first) > 0
        assert row.delta < 1e-5  # the truth is of another process: both drew the same weights
        assert player.alive


@pytest.mark.parametrize(
    ("batch", "why"),
    [
        (3, "the process was killed by SIGKILL, perhaps for lack of memory"),
        (4, "RuntimeError: out of | luck"),
    ],
)
def test_a_failure_in_a_turn_leaves_the_others_alone(arena, batch, why):
    lucky, unlucky = arena.measure(Cell("tiny", INFERENCE, batch, 0.1), 0, Results({}, [], []))
    assert len(lucky.times) == plan.LEAST
    assert unlucky.why == why
    assert not unlucky.times
    assert why.replace("|", "/") in markdown.times_table(unlucky.cell, [unlucky])


def test_a_peak_is_a_number_or_a_reason(arena):
    lucky, unlucky = (arena.peak(Cell("tiny", INFERENCE, 4, 4), contestant) for contestant in arena.players)
    assert lucky.increase > 4 * 4000 * TINY.H * 4  # bytes of a block's frames
    assert lucky.why is None
    assert unlucky.increase is None
    assert unlucky.why == "RuntimeError: out of | luck"


def test_a_killed_process_begins_again_and_one_that_holds_much_is_stopped(arena, monkeypatch):
    monkeypatch.setattr(memory, "RELEASE_ABOVE", 1)
    _, revived = arena.measure(Cell("tiny", INFERENCE, 1, 0.1), 0, Results({}, [], []))
    assert len(revived.times) == plan.LEAST
    assert not any(player.alive for player in arena.players.values())


def test_memory_is_what_the_run_adds():
    def run():
        torch.zeros(2**24)

    assert memory.peak_memory_increase(run, "cpu") == pytest.approx(2**26, rel=0.05)
    model = entry("convtasnet")
    signals = draw(8, 4, TINY.C, "cpu")
    frames_of_the_block = 8 * 4001 * TINY.H * 4  # bytes
    assert memory.peak_memory_increase(lambda: model.training(*signals), "cpu") > 2 * frames_of_the_block


@pytest.fixture
def data():
    """The module, which loads SpeechBrain: no need of it where a process imports this file for a class."""
    return importlib.import_module("benchmarks.speed.data_loading")


def test_mixtures_of_both_kinds_are_counted_and_compared(data, speech_folder, tmp_path, monkeypatch, capsys):
    from speechbrain_tasnet.data.dynamic_mixing.room_bank import RoomBank

    monkeypatch.setattr(data, "ROUNDS", Rounds(1, 1, 0))
    pulses = np.zeros((2, 2, 100), np.float32)
    pulses[:, :, 40] = 1
    RoomBank(8000, pulses, pulses, np.ones(2, np.float32)).save(tmp_path / "rooms.npz")
    files = ["--speech", speech_folder, "--noise", speech_folder, "--rooms", tmp_path / "rooms.npz"]
    monkeypatch.setattr("sys.argv", ["data", *map(str, files), "--items", "6", "--segment", "1"])
    data.main()
    rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    assert len(rows) == 8
    assert rows[0][0] == data.TOOLKIT
    assert float(rows[0][2]) == 1
    assert all(float(speed.replace(",", "")) > 0 for _, speed, _ in rows)


def test_the_toolkits_mixtures_are_mixtures(data, speech_folder):
    for noise in (None, speech_folder):
        for item in data.toolkit_dataset(speech_folder, 2, 8000, segment=1.0, length=4, noise=noise):
            mixture, sources = item[data.MIXTURE], torch.stack([item["s0"], item["s1"]])
            assert mixture.shape == (8000,)
            assert max(mixture.abs().max(), sources.abs().max()) == pytest.approx(0.9)
            assert torch.allclose(mixture, sources.sum(0), atol=1e-6) == (noise is None)


def test_the_peak_is_one_of_sums_that_are_really_taken():
    """What does nothing with its results may be left out by a compiler."""
    steps = 3
    sums = [k * 0.5**steps + 2 * (1 - 0.5**steps) for k in range(peak.SUMS)]
    assert peak._multiply_add(steps) == pytest.approx(sum(sums))
    assert all(peak.peak(1, precision) > 0 for precision in peak.precisions())


def test_shares_are_of_the_same_precision_where_there_are_instructions_for_it():
    rates = {
        "peak float32": [3.0, 5.0, 4.0],
        "torch float32": [2.0],
        "numpy float32": [3.0],
        "torch bfloat16": [1.0],
    }
    assert roofs.of_precision(rates, "float32") == (4, 3)
    assert roofs.of_precision(rates, "bfloat16") == (4, 1)
    assert roofs.of_precision(rates | {"peak bfloat16": [8.0]}, "bfloat16") == (8, 1)
    assert roofs.of_precision({"torch tf32": [7.0], "torch float32": [2.0]}, "tf32") == (None, 7)


def test_what_is_compiled_runs_in_the_first_cells_only():
    compiled = Contestant("", "convtasnet", "float32", compiled=True)
    cells = [cell for cell in plan.plan_cells("cpu", quick=False) if plan.takes_part(compiled, cell, "cpu")]
    assert cells == plan.plan_cells("cpu", quick=True)
    assert [cell.kind for cell in cells[:2]] == [INFERENCE, TRAINING]
    assert all(plan.takes_part(compiled, cell, "cuda") for cell in plan.plan_cells("cuda", quick=False))


def test_what_is_left_beside_a_busy_program_is_a_share_of_the_same_turn(monkeypatch):
    """Busy turns are slower by what the machine does, too: shares of one turn are compared, not of medians."""
    busy, seen = [], []
    monkeypatch.setattr(neighbour, "busy_program", lambda: busy_now(busy))

    def rate(environment):
        seen.append((len(busy), environment.get("OMP_NUM_THREADS")))
        speed = 2.0 ** ((len(seen) - 1) // 3)  # each turn is twice as fast as the one before
        return speed * (0.7 if busy else 0.5 if environment.get("OMP_NUM_THREADS") == "1" else 1)

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    section = neighbour.measure([neighbour.Way("typing", "words a second", rate)], rounds=3)
    assert section.splitlines()[-1] == "| typing | 2 words a second | 70 % | 50 % |"
    assert seen == 3 * [(0, None), (1, None), (0, "1")]


@contextmanager
def busy_now(busy):
    busy.append(True)
    yield
    busy.clear()


def test_what_does_not_depend_on_the_signal_is_the_line_at_length_zero():
    step = importlib.import_module("benchmarks.training.step")
    steps = [(length, {"forward": 2 + 3 * length, "loss": 5}) for length in (4, 2, 1)]
    late = (2, {"forward": 100, "loss": 100})
    lines = step.lines([*steps, *steps, late])
    assert lines["forward"] == pytest.approx((2, 14))
    assert lines["all"] == pytest.approx((7, 19))
    assert "| all | 7000.00 | 19000.00 |" in step.table([*steps, *steps, late])


def test_all_parts_of_a_step_of_the_demo_are_timed(tmp_path):
    step = importlib.import_module("benchmarks.training.step")
    steps = step.measure(tmp_path, rounds=2, warm_up=1)
    assert [samples for samples, _ in steps] == 2 * [12000, 6000, 3000, 1500]
    for _, parts in steps:
        assert set(parts) == {
            *("loading", "loop", "accounts", "forward", "loss", "backward", "clipping and optimizer"),
        }
        assert min(parts.values()) > 0


def test_what_many_hours_cost_follows_from_what_one_does():
    costs = {"small": cost.Cost(hour=36.0, start=18.0)}
    lines = cost.section(costs, hours=10000, jobs=100, watts=5.0, price=0.04).splitlines()
    # 36 s of an hour are a hundredth; 100 starts of 18 s are half an hour.
    assert lines[-1] == "| `small` | 36 | 0.0100 | 18 | 100 | 0.04 | 0.5 | 4.02 |"
    assert lines[0] == "## What 10,000 hours cost"


def test_starting_is_told_from_separating(monkeypatch, tmp_path):
    monkeypatch.setattr(cost, "_processor_seconds", lambda model, minutes, folder: 10 + 2 * minutes)
    assert cost.measure("any", 31, tmp_path) == cost.Cost(hour=120, start=10)
