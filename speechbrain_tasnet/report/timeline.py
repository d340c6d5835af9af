"""A timeline of who speaks when, in the targets and in the estimates."""

from torch import Tensor

from speechbrain_tasnet.evaluation.diarization import Turn, turns_heard, turns_spoken
from speechbrain_tasnet.report.charts import Axis

# In the units of the picture: where time begins and ends, and how high a line of turns is, with what is between.
LEFT, RIGHT = 60, 970
LINE, GAP = 9, 8


def lay_out_timeline(targets: Tensor, estimates: Tensor, sample_rate: int) -> dict:
    """Lay out the turns of each voice, those of the target above those of the estimate.

    Parameters
    ----------
    targets, estimates : Tensor
        [time, C] each, in the same order.
    sample_rate : int
        In Hz.

    Returns
    -------
    dict
        The axis ``x`` of seconds, the ``height`` of the picture, that of a ``line``, the ``left`` end, and the
        ``lines``: each with the ``voice`` from 1, its ``role``, ``reference`` or ``estimate``, its place ``y`` and
        its ``turns`` as (start, width) in units of the picture.

    Examples
    --------
    >>> import torch
    >>> voices = torch.randn(16000, 2) * torch.tensor([1.0, 0.0])
    >>> lines = lay_out_timeline(voices, voices, 8000)["lines"]
    >>> [(line["voice"], line["role"], len(line["turns"])) for line in lines]
    [(1, 'reference', 1), (1, 'estimate', 1), (2, 'reference', 0), (2, 'estimate', 0)]
    """
    seconds = len(targets) / sample_rate
    x = Axis.around([0, seconds], LEFT, RIGHT, most=12)
    found = {"reference": turns_spoken(targets, sample_rate), "estimate": turns_heard(estimates, sample_rate)}
    lines = []
    y = GAP
    for voice in range(targets.shape[1]):
        for role, turns in found.items():
            lines.append({"voice": voice + 1, "role": role, "y": y, "turns": _bars(turns, voice, x)})
            y += LINE
        y += GAP
    return {"x": x, "height": y, "line": LINE, "left": LEFT, "lines": lines}


def _bars(turns: list[Turn], voice: int, x: Axis) -> list[tuple[float, float]]:
    return [(x(start), round(x(end) - x(start), 1)) for who, start, end in turns if who == voice]
