"""Training for a certain cost: what counts, what comes, and the course of the learning rate."""

import copy
import json
import re
from itertools import islice, pairwise

import pytest
import torch
from torch.utils.data import DataLoader

from speechbrain_tasnet.configuration import loading
from speechbrain_tasnet.data.endless_stream import Stream, StreamLoader
from speechbrain_tasnet.data.epoch_dataset import EpochDataset
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.experiment import workflow
from speechbrain_tasnet.experiment.datasets import training_set
from speechbrain_tasnet.experiment.schedules import make_plan
from speechbrain_tasnet.network.costs import macs_per_second
from speechbrain_tasnet.system.energy import EnergyMeter
from speechbrain_tasnet.training import ledger as ledger_module
from speechbrain_tasnet.training.brain import SeparationBrain
from speechbrain_tasnet.training.budget import Budget, learning_rate, parse
from speechbrain_tasnet.training.ledger import EVERY, Ledger


class Numbers(EpochDataset):
    """Items that say where they come from."""

    def __len__(self):
        return 7

    def at(self, epoch, index):
        return epoch, index


SIZES = {"N": 16, "L": 16, "B": 8, "H": 16, "Sc": 8, "X": 2, "R": 1, "batch_size": 2, "segment": 0.5}


@pytest.fixture
def arguments(corpus, tmp_path):
    def words(name, **own):
        values = SIZES | {"num_workers": 0, "device": "cpu", "number_of_epochs": 3, "data_folder": corpus}
        values |= {"output_folder": tmp_path / name} | own
        pairs = [(f"--{key}", str(value)) for key, value in values.items()]
        return ["wsj0mix", "--noprogressbar", *(word for pair in pairs for word in pair)]

    return words


def ledger(folder):
    return json.loads((folder / "ledger.json").read_text())


@pytest.mark.parametrize(
    "text", ["30", "minutes", "0 steps", "-1 steps", "30 hours", "nan steps", "1e999 macs", 30]
)
def test_what_is_no_budget(text):
    with pytest.raises(InputError, match="such as '30 minutes'"):
        parse(text)


def test_each_unit_counts_its_own():
    spent = Ledger()
    spent.steps, spent.seconds, spent.audio = 50, 90.0, 1000.0
    assert Budget(200, "steps").used(spent) == 0.25
    assert Budget(3, "minutes").used(spent) == 0.5
    assert Budget(6e12, "macs", macs_per_second=1e9).used(spent) == 0.5


def test_a_forecast_tells_the_steps_that_each_unit_allows():
    budgets = Budget(200, "steps"), Budget(3, "minutes"), Budget(6e12, "macs", macs_per_second=1e9)
    assert [budget.steps(seconds=0.5, audio=4.0) for budget in budgets] == [200, 360, 500]


def test_every_unit_has_the_same_course_of_the_learning_rate():
    """It is a function of the share that is used, continuous, and zero at the end."""
    used = torch.linspace(0, 1, 1001).tolist()
    rates = [learning_rate(share) for share in used]
    assert max(abs(a - b) for a, b in pairwise(rates)) < 0.05
    assert (rates[0], max(rates), rates[-1]) == (0.1, 1.0, 0.0)


def test_a_stream_goes_through_all_items_again_and_again_in_another_order():
    stream = Stream(Numbers(), seed=3)
    rounds = [[stream[7 * k + place] for place in range(7)] for k in range(3)]
    for epoch, items in enumerate(rounds):
        assert sorted(items) == [(epoch, index) for index in range(7)]
    assert len({tuple(index for _, index in items) for items in rounds}) == 3
    assert rounds == [[Stream(Numbers(), seed=3)[7 * k + place] for place in range(7)] for k in range(3)]
    assert [Stream(Numbers(), seed=4)[k] for k in range(7)] != rounds[0]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stream_goes_on_where_it_was_left(workers):
    """Whatever the loading processes hold ready when it is left."""
    stream, taken = Stream(Numbers(), seed=3), []
    for end in (3, 4, 8):
        options = {"batch_size": 2, "num_workers": workers, "collate_fn": list}
        for batch in StreamLoader(stream, lambda: 2 * len(taken), lambda end=end: len(taken) < end, **options):
            taken.append(batch)
    assert taken == [[stream[2 * k], stream[2 * k + 1]] for k in range(8)]
    assert list(StreamLoader(stream, lambda: 0, lambda: False, batch_size=2)) == []
    assert isinstance(StreamLoader(stream, lambda: 0, lambda: False), DataLoader)  # which Brain.fit asks for


def test_two_processes_go_through_a_stream_together():
    stream, options = Stream(Numbers(), seed=3), {"batch_size": 2, "collate_fn": list}
    shares = [StreamLoader(stream, lambda: 1, lambda: True, rank, 2, **options) for rank in (0, 1)]
    for step, (one, other) in zip(range(3), zip(*shares, strict=False), strict=False):
        assert sorted(one + other) == sorted(stream[1 + 4 * step + k] for k in range(4))


def test_checksums_are_of_all_that_came():
    one, other = Ledger(), Ledger()
    torch.manual_seed(0)
    batches = [torch.randn(2, 8) for _ in range(3 * EVERY)]
    for number, batch in enumerate(batches):
        one.begin(batch, 1.0)
        other.begin(batch + (number == 150), 1.0)
    assert list(one.checksums) == [*range(1, EVERY + 1), 2 * EVERY, 3 * EVERY]
    same = [number for number in one.checksums if one.checksums[number] == other.checksums[number]]
    assert same == list(range(1, EVERY + 1))


def two_ledgers(monkeypatch):
    """Two ledgers that settle as those of two processes."""
    ledgers = [Ledger(), Ledger()]
    for ledger in ledgers:
        ledger.joules = ledger._joules = 0.0

    def settle():
        shares = []
        monkeypatch.setattr(ledger_module, "gather", lambda values: shares.extend(values) or values)
        for rank, ledger in enumerate(ledgers):
            monkeypatch.setenv("LOCAL_RANK", str(rank))
            copy.deepcopy(ledger).settle()
        monkeypatch.setattr(ledger_module, "gather", lambda values: shares)
        for rank, ledger in enumerate(ledgers):
            monkeypatch.setenv("LOCAL_RANK", str(rank))
            ledger.settle()

    return ledgers, settle


def test_a_ledger_is_of_all_processes_and_goes_on_with_any_number(monkeypatch, tmp_path):
    (one, other), settle = two_ledgers(monkeypatch)
    for turn in range(2):
        one.begin(torch.full((2, 8), turn + 1.0), 3.0)
        other.begin(torch.full((1, 8), turn + 5.0), 1.0)
        for ledger in (one, other):
            ledger.end(stepped=True)
            ledger.joules += 10  # of the machine, which both read
        settle()
        assert one.as_dict() | {"seconds": 0} == other.as_dict() | {"seconds": 0}
        count = turn + 1
        assert (one.batches, one.steps, one.items, one.audio) == (count, count, 3 * count, 4.0 * count)
    assert one.joules == pytest.approx(20, abs=1)
    assert one.cpu_seconds == other.cpu_seconds
    assert all(len(digits.split()) == 2 for digits in one.checksums.values())
    one._save(tmp_path / "ledger.json")
    restored = {}
    for processes, rank in ((2, 0), (2, 1), (1, 0)):
        monkeypatch.setattr(ledger_module, "processes", lambda processes=processes: processes)
        monkeypatch.setattr(ledger_module, "rank", lambda rank=rank: rank)
        restored[processes, rank] = Ledger()
        restored[processes, rank]._load(tmp_path / "ledger.json", end_of_epoch=False)
    assert all(ledger.as_dict()["items"] == 6 for ledger in restored.values())
    assert restored[2, 0]._checksum == one._checksum != restored[2, 1]._checksum == other._checksum
    assert restored[1, 0]._checksum not in (one._checksum, other._checksum)


def test_a_stream_goes_on_in_items_with_another_batch_size(arguments):
    """A step of the first size, then one of another; and so from a ledger of an earlier version."""
    hparams = loading.read(arguments("run", budget="9 steps")).build()
    hparams.prepare()
    hparams.epoch_counter.current = 1
    items, options = training_set(hparams)
    ledger = Ledger()
    plan = make_plan(hparams, ledger)
    ids = [next(iter(plan.feed(items, options | {"batch_size": size}))).id for size in (3, 5)]
    assert ids[0] == ids[1][:3]
    ledger.items, ledger.batches = 3, 1
    assert next(iter(plan.feed(items, options | {"batch_size": 2}))).id == ids[1][3:]
    ledger.items, ledger.uncounted = 0, 1
    assert next(iter(plan.feed(items, options | {"batch_size": 3}))).id[:2] == ids[1][3:]


@pytest.mark.parametrize("mixing", [False, True], ids=["corpus", "dynamic"])
def test_networks_of_any_size_and_seed_are_fed_the_same(arguments, speech_folder, mixing):
    """However much randomness their weights take; and none but these."""
    more = {"speech_folder": speech_folder, "epoch_items": 8} if mixing else {"speeds": "[0.9,1.1]"}

    def fed(**own):
        hparams = loading.read(arguments("run", budget="9 steps", **more, **own)).build()
        hparams.prepare()
        hparams.epoch_counter.current = 1
        items, options = training_set(hparams)
        batches = make_plan(hparams, Ledger()).feed(items, options | {"batch_size": 2})
        return torch.cat([batch.mixture.data for batch in islice(batches, 6)])

    assert torch.equal(fed(data_seed=5), fed(data_seed=5, seed=7, H=64, Sc=0))
    assert not (fed(data_seed=5) == fed(data_seed=6)).all(dim=1).any()


def test_validations_divide_it_equally_and_the_learning_rate_ends_at_zero(arguments):
    folder = workflow.run(arguments("run", budget="12 steps"))
    account = ledger(folder)
    assert [point["steps"] for point in account["curve"]] == [4, 8, 12]
    assert account["audio"] == pytest.approx(12 * 2 * 0.5, rel=0.1)  # steps, items, seconds
    assert account["seconds"] == account["curve"][-1]["seconds"] > account["curve"][0]["seconds"] > 0
    rates = [float(rate) for rate in re.findall(r"lr: (\S+) ", (folder / "train_log.txt").read_text())]
    assert rates == pytest.approx([0.001, 0.001 * 2 / 3, 0], abs=1e-6)


def test_wall_clock_and_macs_end_it_too(arguments):
    minutes = ledger(workflow.run(arguments("minutes", budget="0.003 minutes")))
    assert minutes["curve"][-2]["seconds"] < 0.18 <= minutes["seconds"]
    macs = ledger(workflow.run(arguments("macs", budget="1e8 macs")))
    each = 3 * macs_per_second(loading.read(arguments("macs")).build().network, 8000)
    assert macs["audio"] - 2 * 0.5 < 1e8 / each <= macs["audio"]  # to a batch


def test_what_was_interrupted_ends_as_what_was_not(arguments, monkeypatch):
    """The same mixtures, the same steps, the same weights."""
    options = {"budget": "12 steps", "ckpt_interval_steps": 3, "ckpt_interval_minutes": 0}
    whole = workflow.run(arguments("whole", **options))
    save = SeparationBrain._save_intra_epoch_ckpt

    def save_and_stop(brain):
        save(brain)
        raise KeyboardInterrupt

    for _ in range(2):
        monkeypatch.setattr(SeparationBrain, "_save_intra_epoch_ckpt", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            workflow.run(arguments("parts", **options))
        monkeypatch.setattr(SeparationBrain, "_save_intra_epoch_ckpt", save)
    parts = workflow.run(arguments("parts", **options))
    one, other = ledger(whole), ledger(parts)
    assert {name: one[name] for name in ("steps", "audio", "checksums")} == {
        name: other[name] for name in ("steps", "audio", "checksums")
    }
    means = [
        json.loads((run / "test_results.json").read_text())["metrics"]["si-snr"]["mean"] for run in (whole, parts)
    ]
    assert means[0] == pytest.approx(means[1], abs=0.01)  # products may sum in another order


def test_energy_is_read_where_linux_tells_it_and_counts_on_when_the_counter_turns(tmp_path):
    domain = tmp_path / "intel-rapl:0"
    domain.mkdir()
    for name, text in (("name", "package-0\n"), ("max_energy_range_uj", "10000000"), ("energy_uj", "9000000")):
        (domain / name).write_text(text)
    (tmp_path / "intel-rapl:0:0").mkdir()  # cores, part of the package
    meter = EnergyMeter(tmp_path)
    assert meter.sources == ["RAPL package-0"]
    before = meter.joules()
    (domain / "energy_uj").write_text("500000")
    assert meter.joules() - before == pytest.approx(1.5)
    assert EnergyMeter(tmp_path / "none").sources == []
