"""No step is taken along a gradient that is not finite, and nothing else is lost over it."""

import logging
import math

import pytest
import torch
from brains import BAD, GOOD, fit, make_brain
from speechbrain import Stage

from speechbrain_tasnet import MaskNet
from speechbrain_tasnet.data.skipping import Fetched, collate
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.losses import Targets


def state(brain):
    """Weights and optimizer state, flat."""
    adam = brain.optimizer.state_dict()["state"]
    return [*brain.modules.state_dict().values(), *(value for entry in adam.values() for value in entry.values())]


def assert_same(brain, other):
    assert len(state(brain)) == len(state(other)) > 0
    for one, two in zip(state(brain), state(other), strict=True):
        assert torch.equal(one, two)


def test_a_loss_that_is_not_finite_leaves_no_trace_but_in_the_log(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        brain = fit(make_brain(tmp_path), GOOD[0], BAD, GOOD[1])
    assert_same(brain, fit(make_brain(tmp_path), GOOD[0], GOOD[1]))
    assert "Step 2 skipped: its loss is not finite (1 of at most 3 in an epoch); utterances: spoilt" in caplog.text
    assert brain.train_stats["skipped steps"] == 1
    assert all(math.isfinite(value) for value in brain.train_stats.values())
    assert brain.optimizer_step == 2


def test_a_loss_that_is_not_finite_is_enough_even_if_its_gradient_is(tmp_path, monkeypatch):
    other = fit(make_brain(tmp_path), GOOD[0], GOOD[2])
    brain = make_brain(tmp_path)
    objectives = brain.compute_objectives
    monkeypatch.setattr(
        brain, "compute_objectives", lambda *args: objectives(*args) + (math.inf if brain.step == 2 else 0)
    )
    assert_same(fit(brain, *GOOD[:3]), other)


def test_a_skipped_step_takes_all_that_was_accumulated_for_it(tmp_path):
    brain = fit(make_brain(tmp_path, grad_accumulation_factor=2), *GOOD[:2], BAD, GOOD[2], *GOOD[3:5])
    assert_same(brain, fit(make_brain(tmp_path, grad_accumulation_factor=2), *GOOD[:2], *GOOD[3:5]))
    assert brain.train_stats["skipped steps"] == 1


def spoil_gradients(brain, steps):
    """Let one weight's gradient be infinite in some steps, while the loss is finite."""
    parameter = next(brain.modules["masknet"].parameters())
    parameter.register_hook(lambda g: torch.full_like(g, math.inf) if brain.step in steps else g)
    return brain


def test_a_gradient_that_is_not_finite_is_skipped_and_all_of_its_utterances_named(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        brain = fit(spoil_gradients(make_brain(tmp_path, grad_accumulation_factor=2), {3}), *GOOD)
    assert "Step 4 skipped: its gradient is not finite" in caplog.text
    assert "utterances: good3, good4" in caplog.text
    assert_same(brain, fit(make_brain(tmp_path, grad_accumulation_factor=2), *GOOD[:2], *GOOD[4:]))


def test_patience_ends_in_one_line(tmp_path):
    with pytest.raises(
        InputError, match=r"^2 steps of this epoch .* nonfinite_patience=1; .* step 3, was on spoilt;"
    ):
        fit(make_brain(tmp_path, nonfinite_patience=1), BAD, GOOD[0], BAD, GOOD[1])


def test_the_learning_rate_stays_where_it_is_too(tmp_path):
    calls = []
    brain = make_brain(tmp_path, {"step_scheduler": calls.append})
    fit(brain, GOOD[0], BAD, GOOD[1])
    assert len(calls) == brain.hparams.ledger.steps == 2


def test_float16_may_look_for_its_scale(tmp_path):
    brain = spoil_gradients(make_brain(tmp_path, nonfinite_patience=0), {1, 2, 3})
    brain.scaler = torch.GradScaler("cpu", init_scale=2.0**16)
    fit(brain, *GOOD)
    assert brain.nonfinite_count == 0
    assert brain.train_stats["skipped steps"] == 3
    assert brain.scaler.get_scale() == 2.0**13
    assert brain.optimizer_step == 3


def test_but_not_for_ever(tmp_path):
    brain = spoil_gradients(make_brain(tmp_path, nonfinite_patience=1), range(100))
    brain.scaler = torch.GradScaler("cpu", init_scale=4.0)
    with pytest.raises(InputError, match="nonfinite_patience=1; the last, step 4, was on good4"):
        fit(brain, *GOOD)


def test_gradient_norms_are_those_before_clipping(tmp_path):
    clipped = fit(make_brain(tmp_path, max_grad_norm=1e-3), GOOD[0]).train_stats
    free = fit(make_brain(tmp_path, max_grad_norm=math.inf), GOOD[0]).train_stats
    assert clipped["gradient norm"] == clipped["largest gradient norm"] == free["gradient norm"] > 0.01


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("norm", ["global", "cumulative", "channelwise"])
def test_silence_gives_no_nan_in_any_precision(norm, dtype, tmp_path):
    """A silent source, a silent mixture and a silent end, forward and back."""
    brain = make_brain(tmp_path)
    brain.modules["masknet"] = MaskNet(N=8, B=4, H=8, Sc=4, X=2, R=1, C=2, norm=norm)
    sources = torch.randn(3, 800, 2)
    sources[0, :, 1] = 0
    sources[1] = 0
    sources[2, 400:] = 0
    batch = collate([Fetched({"id": str(i), "mixture": s.sum(1), "sources": s}) for i, s in enumerate(sources)])
    brain.on_stage_start(Stage.VALID)
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        loss = brain.compute_objectives(brain.compute_forward(batch, Stage.VALID), batch, Stage.VALID)
    assert loss.dtype == torch.float32
    loss.backward()
    assert loss.isfinite()
    for name, parameter in brain.modules.named_parameters():
        assert parameter.grad.isfinite().all(), name


def test_threads_share_neither_the_loss_nor_the_step(tmp_path, monkeypatch):
    """On a machine that does something else, they would wait for each other at each of the many weights."""
    counts = {}

    def counted(name, function):
        def wrapper(*args, **kwargs):
            counts[name] = torch.get_num_threads()
            return function(*args, **kwargs)

        return wrapper

    monkeypatch.setattr(torch.optim.Adam, "step", counted("step", torch.optim.Adam.step))
    monkeypatch.setattr(Targets, "loss", counted("loss", Targets.loss))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        fit(make_brain(tmp_path), GOOD[0])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert counts == {"loss": 1, "step": 1}
