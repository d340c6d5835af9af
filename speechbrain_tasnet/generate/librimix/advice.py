"""The command that trains on a LibriMix that was made."""

import json
import shlex
from pathlib import Path

# Each type of mixture with the first task of the recipe that it can be trained on; the first is the recipe's own.
TASKS = {"mix_clean": "sep_clean", "mix_both": "sep_noisy", "mix_single": "enh_single"}
RECIPE = {
    "train_splits": "[train-360]",
    "sample_rate": "8000",
    "mode": "min",
    "task": "sep_clean",
    "num_spks": "2",
}


def training_advice(corpus: Path) -> str:
    """Return the command that trains on a corpus, or what it lacks.

    Parameters
    ----------
    corpus : Path
        ``Libri2Mix`` or ``Libri3Mix`` with its ``librimix.json``.

    Returns
    -------
    str
        With all options that are not the recipe's own.
    """
    made = json.loads((corpus / "librimix.json").read_text(encoding="utf-8"))
    splits = list(made["splits"])
    training = [split for split in splits if split.startswith("train-")]
    missing = [split for split in ("dev", "test") if split not in splits]
    if missing or not training:
        lacking = " and ".join([*(["train-100 or train-360"] if not training else []), *missing])
        return f"training needs {lacking} too; make it with all --splits at once, into another folder"
    task = next(task for kind, task in TASKS.items() if kind in made["types"])
    values = {
        "train_splits": f"[{','.join(training)}]",
        "sample_rate": str(made["rates"][0]),
        "mode": made["modes"][0],
        "task": task,
        "num_spks": "1" if task.startswith("enh") else corpus.name[len("Libri") : -len("Mix")],
    }
    words = ["tasnet", "train", "librimix", "--data_folder", str(corpus)]
    for name, value in values.items():
        words += [f"--{name}", value] if value != RECIPE[name] else []
    return f"train on it with `{shlex.join(words)}`"
