"""Score separators by their microphones: ``python -m benchmarks.quality.microphones MODEL --speech FOLDER ...``.

The test speakers of a folder are mixed in simulated rooms and in rooms with the tails of measured responses, with
noise, for several microphones; the sources are the voices as they arrive directly. A separator of fewer
microphones hears the first ones, and one of a single microphone is scored with a beamformer behind it, too.
"""

import argparse
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import fmean, stdev

from torch import Tensor

from benchmarks.quality.measured_rooms import measured_bank
from speechbrain_tasnet.data.dynamic_mixing.dataset import DynamicMixing
from speechbrain_tasnet.data.dynamic_mixing.room_bank import RoomBank
from speechbrain_tasnet.data.folders.noise import split_noise
from speechbrain_tasnet.data.folders.speech import SPLITS, split_speakers
from speechbrain_tasnet.generate.room_plan import Array
from speechbrain_tasnet.generate.room_simulation import make_room_bank
from speechbrain_tasnet.losses import Targets
from speechbrain_tasnet.separation.beamforming import beamform, postfilter
from speechbrain_tasnet.separation.pretrained import TasNetSeparation

RATE, VOICES = 8000, 2
Separate = Callable[[Tensor], Tensor]  # [time, mics] to [time, C]
HEAD = """\
| separator | microphones | scenes | SI-SNRi against the direct voices | 95 % interval | not improved | against the voices in the room |
|---|--:|---|--:|--:|--:|--:|
"""  # noqa: E501 - a line of Markdown


def links(files: dict[str, list[Path]], out: Path) -> Path:
    """Make a folder of links, a subfolder for each name."""
    for name, paths in files.items():
        place = out / name.replace("/", "-")
        place.mkdir(parents=True, exist_ok=True)
        for path in paths:
            if not (place / path.name).exists():
                os.symlink(path.resolve(), place / path.name)
    return out


def banks(options: argparse.Namespace) -> Iterator[tuple[str, RoomBank]]:
    """Yield the rooms by what the scenes in them are called."""
    array = Array.parse(options.mics, options.array)
    path = options.out / "rooms.npz"
    if not path.exists():
        make_room_bank(path, options.rooms, VOICES + 1, RATE, seed=1, array=array)
    yield "simulated rooms", RoomBank.load(path)
    if options.responses:
        yield "measured tails", measured_bank(options.responses, array, options.rooms, VOICES + 1, RATE, seed=1)


def ways(model: str, mics: int) -> Iterator[tuple[str, int, Separate]]:
    """Yield the ways to separate with a model: name, microphones, function."""
    separator = TasNetSeparation.from_bundle(model)
    name, heard = Path(model).name, separator.mics
    if heard > mics:
        raise SystemExit(f"{model}: {heard} microphones, the scenes have --mics {mics}")

    def plain(mixture: Tensor) -> Tensor:
        return separator.separate_batch((mixture[:, 0] if heard == 1 else mixture[:, :heard]).unsqueeze(0))[0]

    def beamformed(mixture: Tensor) -> Tensor:
        return beamform(mixture.T, separator.separate_batch(mixture.T), RATE)

    def postfiltered(mixture: Tensor) -> Tensor:
        return postfilter(beamformed(mixture), separator.separate_batch)

    yield name, heard, plain
    if heard == 1:
        yield f"{name}, --beamform mvdr", mics, beamformed
        yield f"{name}, --beamform mvdr-postfilter", mics, postfiltered


def score(separate: Separate, scenes: list[tuple[dict, dict]]) -> tuple[list[float], list[float]]:
    """Return what each scene gains in dB against both kinds of targets: direct, and with the room."""
    gains = []
    for direct, in_room in scenes:
        estimates = separate(direct["mixture"]).unsqueeze(0)
        heard = direct["mixture"][None, :, 0]
        found = (Targets(item["sources"].unsqueeze(0)) for item in (direct, in_room))
        gains.append([float(-t.loss(estimates) - t.si_snr_of_mixture(heard)) for t in found])
    first, second = zip(*gains, strict=True)
    return list(first), list(second)


def line(name: str, mics: int, kind: str, direct: list[float], in_room: list[float]) -> str:
    """Write a row."""
    mean, half = fmean(direct), 1.96 * stdev(direct) / len(direct) ** 0.5
    bad = sum(gain <= 0 for gain in direct) / len(direct)
    cells = [name, str(mics), kind, f"{mean:.2f} dB", f"{mean - half:.2f} to {mean + half:.2f}", f"{bad:.1%}"]
    return f"| {' | '.join([*cells, f'{fmean(in_room):.2f} dB'])} |"


def main() -> None:
    """Mix, separate and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality.microphones", description=__doc__)
    parser.add_argument("models", nargs="+", help="folders or names of separators")
    parser.add_argument("--speech", type=Path, required=True, help="folder with a speakers.csv")
    parser.add_argument("--noise", type=Path, required=True, help="folder of noise; its test recordings are taken")
    parser.add_argument("--responses", type=Path, help="folder of measured responses of rooms, .flac")
    parser.add_argument("--mics", type=int, default=2)
    parser.add_argument("--array")
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each")
    parser.add_argument("--rooms", type=int, default=100)
    parser.add_argument("--room-share", type=float, default=1.0, help="share of the scenes with walls")
    parser.add_argument("--noise-share", type=float, default=1.0, help="share of the scenes with noise")
    parser.add_argument("--split", default="test", choices=SPLITS, help="speakers and noise")
    parser.add_argument("--out", type=Path, default=Path("results/microphones"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    split = SPLITS[options.split]
    speech = links(split_speakers(options.speech, VOICES, seed=0)[split], options.out / f"speech-{split}")
    noise = links({"": split_noise(options.noise, RATE, seed=0)[split]}, options.out / f"noise-{split}")
    found = [way for model in options.models for way in ways(model, options.mics)]
    rows, results = [], []
    for kind, bank in banks(options):
        sets = (
            DynamicMixing(
                speech,
                VOICES,
                RATE,
                options.seconds,
                options.scenes,
                noise=noise,
                rooms=bank,
                target=target,
                mics=options.mics,
                room_share=options.room_share,
                noise_share=options.noise_share,
            )
            for target in ("anechoic", "reverb")
        )
        scenes = list(zip(*([items.at(0, i) for i in range(options.scenes)] for items in sets), strict=True))
        for name, mics, separate in found:
            direct, in_room = score(separate, scenes)
            results.append({"name": name, "mics": mics, "scenes": kind, "direct": direct, "in room": in_room})
            rows.append(line(name, mics, kind, direct, in_room))
            print(HEAD + "\n".join(rows), flush=True)
    (options.out / "scores.json").write_text(json.dumps(results), encoding="utf-8")


if __name__ == "__main__":
    main()
