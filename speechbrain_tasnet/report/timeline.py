"""A timeline of who speaks when."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from speechbrain_tasnet.evaluation.diarization import Turn, turns_heard, turns_spoken
from speechbrain_tasnet.report.charts import Axis

# In the units of the picture: its width, where time begins and ends, how high a line of turns is, and the gap.
WIDTH, LEFT, RIGHT = 980, 60, 970
LINE, GAP = 9, 8


def lay_out_timeline(
    targets: Tensor, estimates: Tensor, sample_rate: int, spoken: Sequence[Turn] | None = None
) -> dict:
    """Lay out the turns of each voice, those of the target above those of the estimate.

    Parameters
    ----------
    targets, estimates : Tensor
        [time, C] each, in the same order.
    sample_rate : int
        In Hz.
    spoken : sequence of (int, float, float), optional
        When each target speaks, where that is known; otherwise its energy decides.

    Returns
    -------
    dict
        As `lay_out_turns` has it, with the roles ``reference`` and ``estimate``; and whether the references are
        ``known``.

    Examples
    --------
    >>> import torch
    >>> voices = torch.randn(16000, 2) * torch.tensor([1.0, 0.0])
    >>> lines = lay_out_timeline(voices, voices, 8000)["lines"]
    >>> [(line["voice"], line["role"], len(line["turns"])) for line in lines]
    [(1, 'reference', 1), (1, 'estimate', 1), (2, 'reference', 0), (2, 'estimate', 0)]
    """
    seconds = len(targets) / sample_rate
    reference = turns_spoken(targets, sample_rate) if spoken is None else spoken
    inside = [(voice, start, min(end, seconds)) for voice, start, end in reference if start < seconds]
    found = {"reference": inside, "estimate": turns_heard(estimates, sample_rate)}
    return lay_out_turns(found, targets.shape[1], seconds) | {"known": spoken is not None}


def lay_out_turns(found: Mapping[str, Sequence[Turn]], voices: int, seconds: float) -> dict:
    """Lay out turns, a line for each voice and role.

    Parameters
    ----------
    found : mapping of str to sequence of (int, float, float)
        For each role, such as ``estimate``, voice from 0, start and end in seconds.
    voices : int
        How many there are.
    seconds : float
        Of the recording.

    Returns
    -------
    dict
        The axis ``x`` of seconds, the ``height`` of the picture, that of a ``line``, the ``left`` end, and the
        ``lines``: each with the ``voice`` from 1, its ``role``, its place ``y``, the ``label`` and where that
        stands, ``label_y``, at a voice's first line, and its ``turns`` as (start, width) in units of the picture.

    Examples
    --------
    >>> layout = lay_out_turns({"estimate": [(1, 2.0, 3.5)]}, voices=2, seconds=4)
    >>> [(line["label"], line["turns"]) for line in layout["lines"]]
    [('Voice 1', []), ('Voice 2', [(515.0, 341.2)])]
    """
    x = Axis.around([0, seconds], LEFT, RIGHT, most=12)
    lines = []
    y = GAP
    for voice in range(voices):
        middle = y + len(found) * LINE / 2 + 4
        for place, (role, turns) in enumerate(found.items()):
            label = "" if place else f"Voice {voice + 1}"
            line = {"voice": voice + 1, "role": role, "y": y, "label": label, "label_y": middle}
            lines.append(line | {"turns": _bars(turns, voice, x)})
            y += LINE
        y += GAP
    return {"x": x, "height": y, "line": LINE, "left": LEFT, "lines": lines}


def _bars(turns: Sequence[Turn], voice: int, x: Axis) -> list[tuple[float, float]]:
    return [(x(start), round(x(end) - x(start), 1)) for who, start, end in turns if who == voice]
