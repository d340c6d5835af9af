"""Say who speaks when in long conversations, and draw it: ``python -m benchmarks.quality.timeline MODEL``.

The conversations are a corpus of `tasnet mix --scene talk --seconds 600`, which knows when everybody speaks. The
picture has the first one of each number of speakers: in grey when each of them speaks, and in blue below it when
the separator says so.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import soundfile

from benchmarks.page import DOCS, paragraph, write_section
from benchmarks.quality.corpus import as_turns
from speechbrain_tasnet.data.segments import read_segments
from speechbrain_tasnet.evaluation.diarization import Turn, diarization_errors, error_shares, order_by_turns
from speechbrain_tasnet.separation.pretrained import TasNetSeparation

PAGE, PICTURE = DOCS / "separate.md", DOCS / "images/timeline.svg"
COLOURS = {"spoken": "#8b949e", "heard": "#1f6feb"}
SHARES = ("rate", "missed", "false alarm", "confusion")


class Conversation(NamedTuple):
    """A conversation, and what a separator says about it."""

    name: str
    seconds: float
    spoken: list[Turn]
    heard: list[Turn]

    @property
    def counts(self) -> tuple[int, int]:
        """Return how many people speak, and how many are heard."""
        return len({voice for voice, *_ in self.spoken}), len({voice for voice, *_ in self.heard})

    @property
    def errors(self) -> dict[str, float]:
        """Return its `diarization.diarization_errors`."""
        return diarization_errors(self.spoken, self.heard, self.seconds)


def listen(separator: TasNetSeparation, path: Path) -> Conversation:
    """Separate a mixture that has its segments beside it."""
    spoken = as_turns(read_segments(path.with_suffix(".json"), named="source"))
    heard = as_turns(separator.separate_voices(path).segments)
    return Conversation(path.stem, soundfile.info(path).duration, spoken, heard)


def section(conversations: Sequence[Conversation], command: str) -> str:
    """Write the section of the page: a table with a row for each conversation, and the picture."""
    lines = [
        "## Ten minutes of conversation",
        "",
        paragraph(
            f"Conversations of {conversations[0].seconds:g} s from `tasnet mix --scene talk`, and the segments "
            "that are found in them, compared with the utterances that were mixed, without a collar, overlapped "
            "speech included. The picture has the first one of each number of speakers: in grey when each speaks, "
            f"and in blue below it when the separator says so. Measured by `{command}`. A report of "
            "`tasnet evaluate` has such a timeline beside the players."
        ),
        "",
        "| speakers | voices found | DER | missed | false alarm | confusion |",
        "|--:|--:|--:|--:|--:|--:|",
    ]
    rows = [(*conversation.counts, error_shares([conversation.errors])) for conversation in conversations]
    together = error_shares([conversation.errors for conversation in conversations])
    for speakers, found, shares in [*sorted(rows, key=lambda row: row[:2]), ("all", "", together)]:
        lines.append(f"| {speakers} | {found} | {' | '.join(f'{100 * shares[name]:.1f} %' for name in SHARES)} |")
    return "\n".join([*lines, "", "![When each voice speaks, and when it is found](images/timeline.svg)", ""])


def draw(conversations: Mapping[int, Conversation], picture: Path) -> None:
    """Draw one conversation of each number of speakers."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    heights = [max(conversation.counts) for conversation in conversations.values()]
    figure, axes = plt.subplots(
        len(heights), figsize=(9, 0.7 * sum(heights)), height_ratios=heights, sharex=True, layout="constrained"
    )
    for axis, conversation, voices in zip(axes, conversations.values(), heights, strict=True):
        places = {output: voice for voice, output in enumerate(_order(conversation, voices))}
        for name, turns, lower in (("spoken", conversation.spoken, 0.0), ("heard", conversation.heard, 0.4)):
            for voice, start, end in turns:
                row = voice if name == "spoken" else places[voice]
                axis.broken_barh([(start, end - start)], (row + lower, 0.35), color=COLOURS[name])
        axis.set(ylim=(voices, -0.25), yticks=[row + 0.4 for row in range(voices)])
        axis.set_yticklabels([f"voice {row + 1}" for row in range(voices)])
        for side in ("top", "right", "left"):
            axis.spines[side].set_visible(False)
    axes[-1].set_xlabel("s")
    figure.savefig(picture, metadata={"Date": None})


def _order(conversation: Conversation, voices: int) -> list[int]:
    return order_by_turns(conversation.spoken, conversation.heard, voices)


def main() -> None:
    """Separate the conversations, write the section of the page and draw the picture."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality.timeline", description=__doc__)
    parser.add_argument("model", help="folder or name of a separator that counts voices")
    parser.add_argument("--corpus", type=Path, required=True, help="of conversations, from tasnet mix")
    parser.add_argument("--split", default="tt", help="tr, cv or tt (%(default)s)")
    parser.add_argument("--out", type=Path, default=PAGE, metavar="PAGE", help="page to write into (%(default)s)")
    parser.add_argument("--picture", type=Path, default=PICTURE, help="(%(default)s)")
    options = parser.parse_args()
    separator = TasNetSeparation.from_bundle(options.model)
    if not separator.counts_voices:
        parser.error(f"{options.model}: expected a separator that counts voices")
    mixtures = sorted((options.corpus / "wav8k" / "min" / options.split / "mix").glob("*.wav"))
    if not mixtures:
        parser.error(f"{options.corpus}: no mixtures in {options.split}; make some by tasnet mix --scene talk")
    conversations = [listen(separator, path) for path in mixtures]
    command = f"python -m benchmarks.quality.timeline {options.model} --corpus {options.corpus.name}"
    text = section(conversations, command)
    write_section(options.out, text)
    print(text)
    # Later ones are replaced by those before them: the first of each number is drawn.
    draw({each.counts[0]: each for each in reversed(conversations)}, options.picture)


if __name__ == "__main__":
    main()
