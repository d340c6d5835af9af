"""The benchmark's arithmetic, its order of turns and its page; the other toolkits are not needed."""

import pytest
import torch

from benchmarks import bench, markdown, memory, plan
from benchmarks.contestants import Contestant, Model, draw
from benchmarks.networks import Ours, Torchaudio
from benchmarks.results import INFERENCE, OURS, TRAINING, Cell, Memory, Results, Row, load, roof, save
from benchmarks.rounds import Rounds, alternate
from benchmarks.sizes import SIZES, Sizes

TINY = Sizes(N=16, L=16, B=8, H=16, Sc=8, P=3, X=2, R=1)
CELL = Cell("best", INFERENCE, batch=2, seconds=4)


def nothing():
    pass


class Missing(torch.nn.Module):
    def __init__(self, sizes):
        import a_toolkit_that_nobody_has  # noqa: F401


class Crashing(Ours):
    def forward(self, mixture):
        raise RuntimeError("out of | luck\nand more")


def make_row(**fields):
    defaults = {"cell": CELL, "name": OURS, "precision": "float32", "rate": 1e11, "parameters": 5_000_000}
    return Row(**defaults | fields)


def test_median_quartiles_and_share():
    row = make_row(times=(4.0, 1.0, 2.0, 3.0, 10.0))
    assert row.median == 3
    assert row.quartiles == (2, 4)
    assert row.share == pytest.approx(0.8 / 3)  # 2 * 5e6 parameters * 8000 frames / 1e11


def test_training_counts_three_times_and_frames_are_half_a_filter_apart():
    assert roof(CELL._replace(kind=TRAINING), 1000, 1e9) == pytest.approx(3 * roof(CELL, 1000, 1e9))
    assert roof(CELL._replace(sizes="small"), 1000, 1e9) == pytest.approx(roof(CELL, 1000, 1e9) / 2)


def test_turns_alternate_and_the_warm_up_does_not_count():
    order = []
    outcomes = alternate({name: lambda n=name: order.append(n) for name in "ABC"}, Rounds(3, 9, 0, True), nothing)
    assert "".join(order) == 4 * "ABC"
    assert [len(outcomes[name].times) for name in "ABC"] == [3, 3, 3]


def test_rounds_go_on_while_there_is_time_but_not_for_ever():
    assert len(alternate({"A": nothing}, Rounds(1, 7, 60, False), nothing)["A"].times) == 7


def test_who_crashes_says_why_and_the_others_go_on():
    turns = iter([1, 1])
    outcomes = alternate({"A": lambda: next(turns), "B": nothing}, Rounds(4, 4, 0, False), nothing)
    assert outcomes["A"].why.startswith("StopIteration")
    assert outcomes["B"].why is None
    assert len(outcomes["B"].times) == 4


def test_quick_cells_are_the_first_of_all():
    quick = plan.plan_cells("cpu", quick=True)
    cells = plan.plan_cells("cpu", quick=False)
    assert cells[: len(quick)] == quick
    assert len(set(cells)) == len(cells) == 20
    assert quick[0] == CELL


def test_long_cells_are_run_once_or_left_out():
    rows = [make_row(times=(1.0,)), make_row(name="other", times=(3.0,))]  # half a second a second of audio
    whole = 1200
    assert plan.plan_rounds(CELL._replace(seconds=1), whole, rows).least == plan.LEAST
    assert plan.plan_rounds(CELL._replace(seconds=60), whole, rows) == Rounds(1, 1, 0, warm_up=False)
    assert plan.plan_rounds(CELL._replace(batch=20, seconds=60), whole, rows).startswith(
        "too long: about 10 minutes"
    )


def test_what_does_not_fit_is_left_out():
    measured = Memory(CELL, OURS, "float32", rise=10**9)
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
    peaks = [Memory(CELL, "slow", "float32", rise=1_234_000_000), Memory(CELL, "absent", "float32", why="killed")]
    results = Results({"processor": "abacus"}, rows, peaks)
    save(results, tmp_path / "results.json")
    assert load(tmp_path / "results.json") == results
    page = markdown.render(results, "results.png")
    assert "| processor | abacus |" in page
    assert "| speechbrain_tasnet | float32 | 2 | 0.25 | 3 | 4 | 40 % | 1.00 | 1.5e-07 |" in page
    assert "| slow | float32 | 5 | 1.5 | 3 | 1.6 | 16 % | 2.50 | 2.5e-07 |" in page
    assert "| absent | float32 | ModuleNotFoundError: No module named 'absent' |" in page
    assert "### Training, 2 x 1.5 s" in page
    assert "| slow | float32 | 1,234 MB |" in page
    assert "| absent | float32 | killed |" in page


def test_torchaudio_has_our_weights():
    mixture, sources = draw(2, 0.1, TINY.C, "cpu")
    ours, theirs = (Model(Contestant("", n, "float32"), TINY, "cpu") for n in (Ours, Torchaudio))
    assert ours.parameters == theirs.parameters
    torch.testing.assert_close(ours.inference(mixture, sources), theirs.inference(mixture, sources))
    torch.testing.assert_close(ours.training(mixture, sources), theirs.training(mixture, sources))


@pytest.mark.parametrize("kind", [INFERENCE, TRAINING])
def test_a_cell_is_measured_whoever_fails(monkeypatch, kind):
    monkeypatch.setitem(SIZES, "tiny", TINY)
    monkeypatch.setattr(bench, "PRODUCT", 64)
    contestants = [
        Contestant(OURS, Ours, "float32"),
        Contestant(OURS, Ours, "bfloat16"),
        Contestant("missing", Missing, "float32"),
        Contestant("crashing", Crashing, "float32"),
    ]
    arena = bench.Arena(contestants, "cpu")
    results = Results({}, [], [])
    full, half, missing, crashing = arena.measure(Cell("tiny", kind, 2, 0.1), 0, results)
    assert len(full.times) == plan.LEAST
    assert full.delta < 1e-5 < half.delta < 5e-2
    assert missing.why == "ModuleNotFoundError: No module named 'a_toolkit_that_nobody_has'"
    assert crashing.why == "RuntimeError: out of | luck"
    assert not crashing.times
    assert "out of / luck" in markdown.times_table(full.cell, [full, crashing])


def test_memory_is_what_the_run_adds():
    def run():
        torch.zeros(2**24)

    assert memory.rise(run, "cpu") == pytest.approx(2**26, rel=0.05)
    model = Model(Contestant(OURS, Ours, "float32"), TINY, "cpu")
    signals = draw(8, 4, TINY.C, "cpu")
    frames_of_the_block = 8 * 4001 * TINY.H * 4  # bytes
    assert memory.rise(lambda: model.training(*signals), "cpu") > 2 * frames_of_the_block
