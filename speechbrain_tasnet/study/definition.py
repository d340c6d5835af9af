"""A study as its YAML file says, checked as a whole before any work."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import yaml
from speechbrain.utils.run_opts import RunOptions

from speechbrain_tasnet.configuration import loading
from speechbrain_tasnet.configuration.command_line import take_apart
from speechbrain_tasnet.configuration.model_files import sizes_of
from speechbrain_tasnet.configuration.packaged import STUDIES, names_in
from speechbrain_tasnet.configuration.schema import NONE, text_kind
from speechbrain_tasnet.errors import InputError, similar, whole_number
from speechbrain_tasnet.training import budget

# What a contestant may have for itself, beside the sizes of its network. All else is the same for all of them.
OWN = ("lr", "seed", "precision", "pretrained")

# Of a study's own values, those that are what is typed.
TEXTS = {"name", "recipe", "budget", "title", "output_folder"}

# Of a contestant that names none; sizes of the packaged recipes are its.
MODEL = "convtasnet"

NAME = re.compile(r"\w[\w .+()-]*")


@dataclass(frozen=True)
class Study:
    """A comparison of networks.

    Parameters
    ----------
    recipe : str
        A YAML file, or the name of a packaged recipe.
    budget : str
        What each contestant may spend, see `budget.parse`.
    contestants : dict
        By name what is their own: ``model``, its sizes, and any of `OWN`.
    overrides : dict
        Keys of the recipe that are changed for all, and the run options. Sizes among them are Conv-TasNet's:
        they reach the networks that take them from the recipe.
    title : str
        Of the report.
    name : str
        Of the file.
    output_folder : str
        Holds a folder for each contestant, and the report.
    validations : int
        How many there are, after equal parts of the budget.
    seed : int
        Of the data; and of the weights, where a contestant has no ``seed`` of its own.
    threads : int
        That each contestant computes with.
    turns : int
        In how many each spends its budget. They take them one after the other, so that a machine that is slow for
        an hour is slow for all.
    """

    recipe: str
    budget: str
    contestants: dict[str, dict]
    overrides: dict = field(default_factory=dict)
    title: str = ""
    name: str = "study"
    output_folder: str = ""
    validations: int = 20
    seed: int = 0
    threads: int = 2
    turns: int = 1

    def folder(self, name: str = "") -> Path:
        """Return the folder of a contestant, or that of the study."""
        return Path(self.output_folder) / name

    def argv(self, name: str) -> list[str]:
        """Write the words behind ``tasnet train`` for a contestant."""
        own = {"model": MODEL, "seed": self.seed} | self.contestants[name]
        sizes = sizes_of(own["model"])
        common = {
            key: value
            for key, value in self.overrides.items()
            if key not in sizes_of(MODEL) or (key in sizes and sizes[key] is None)
        }
        values = common | own
        values |= {"budget": self.budget, "number_of_epochs": self.validations, "data_seed": self.seed}
        values |= {"experiment_name": name, "output_folder": str(self.folder(name))}
        return [self.recipe, *_as_words(values)]

    def as_yaml(self) -> str:
        """Write the study so that it can be run again."""
        return yaml.safe_dump(asdict(self), sort_keys=False, allow_unicode=True, width=110)


def load_study(argv: Sequence[str]) -> Study:
    """Read a study and check it, with the recipe of every contestant.

    Parameters
    ----------
    argv : sequence of str
        A YAML file, the name of a packaged study or the folder of an earlier one; then ``--KEY VALUE`` in place of
        the study's own values, and for any other key as an override of the recipe.

    Raises
    ------
    InputError
        A file or a value is not as it should be.
    """
    name, *words = argv
    path = find_study(name)
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (UnicodeError, yaml.YAMLError) as error:
        raise InputError(f"{path}: {' '.join(str(error).split())}") from None
    if not isinstance(found, Mapping):
        raise InputError(f"{path.name}: expected a mapping of names to values")
    known = set(Study.__dataclass_fields__)
    try:
        if unknown := sorted(map(str, set(found) - known)):
            keys = ", ".join(sorted(known))
            raise InputError(f"{unknown[0]}: no key of a study, which are {keys}; recipe keys go under overrides")
        given = _overrides(words)
        values = {"name": path.stem, **found, **{key: given[key] for key in given.keys() & known}}
        recipe_keys = {key: given[key] for key in given.keys() - known}
        values["overrides"] = (values.get("overrides") or {}) | recipe_keys
        study = _make(values)
        _check_contestants(study)
    except InputError as error:
        raise InputError(f"{path.name}: {error}") from None
    return study


def find_study(name: str) -> Path:
    """Find a study: a file, a packaged one by its name, or the one whose results are in a folder.

    Raises
    ------
    InputError
        There is none.
    """
    for path in (Path(name), Path(name) / "study.yaml", STUDIES / f"{name}.yaml"):
        if path.is_file():
            return path
    packaged = names_in(STUDIES)
    raise InputError(
        f"{name}: no such YAML file, nor the folder of a study; packaged studies are: {', '.join(packaged)}"
        f"{similar(name, packaged)}"
    )


def _overrides(words: Sequence[str]) -> dict:
    """Read ``--KEY VALUE`` and ``--KEY=VALUE``: paths and names as they are typed, other values as YAML."""
    found = take_apart(["a study", *words])
    options = {word[2:].partition("=")[0]: word.partition("=")[2] or "True" for word in found.run_options}
    given = {}
    for key, value in (options | found.overrides).items():
        kind = "text" if key in TEXTS else text_kind(key)
        if kind == "text" or (kind == "optional" and value not in NONE):
            given[key] = value
            continue
        try:
            given[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise InputError(f"--{key} {value}: expected a value in YAML") from None
    return given


def _make(values: dict) -> Study:
    """Check the study's own values."""
    for key, kind in (("recipe", str), ("budget", str), ("contestants", dict), ("overrides", dict)):
        if not isinstance(values.get(key), kind) or (not values[key] and key != "overrides"):
            expected = {str: "text", dict: "a mapping of names to values"}[kind]
            raise InputError(f"{key}={values.get(key)!r}: expected {expected}")
    budget.parse(values["budget"])
    for key, minimum in (("validations", 1), ("seed", 0), ("threads", 1), ("turns", 1)):
        whole_number(key, values.get(key, minimum), minimum)
    if values.get("turns", 1) > values.get("validations", Study.validations):
        raise InputError(f"turns={values['turns']}: each ends with a validation; give as many --validations")
    values.setdefault("title", values["name"])
    values.setdefault("output_folder", f"results/{values['name']}")
    return Study(**values)


def _check_contestants(study: Study) -> None:
    """Check names, values and, as `tasnet train` would, the whole recipe of each."""
    for name, own in study.contestants.items():
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise InputError(f"contestant {name!r}: expected a name fit for a folder, such as 'DPRNN (small)'")
        if not isinstance(own, dict):
            raise InputError(f"contestant {name!r}: expected a mapping such as {{model: dprnn, chunk: 100}}")
        sizes = sizes_of(own.get("model", MODEL))
        for key in own:
            if key not in {"model", *OWN, *sizes}:
                raise InputError(
                    f"contestant {name!r}: {key} is the same for all, and goes under overrides; its own may be "
                    f"model, {', '.join(OWN)} and the sizes of its network: {', '.join(sizes)}"
                )
        try:
            loading.read(study.argv(name))
        except InputError as error:
            raise InputError(f"contestant {name!r}: {error}") from None


def _as_words(values: Mapping[str, object]) -> list[str]:
    """Write values as the command line takes them; switches of SpeechBrain have none.

    Examples
    --------
    >>> _as_words({"N": 64, "speeds": [0.9, 1.1], "speech_folder": None, "noprogressbar": True})
    ['--N', '64', '--speeds', '[0.9, 1.1]', '--speech_folder', 'null', '--noprogressbar']
    """
    switches = {key for key, value in RunOptions().as_dict().items() if isinstance(value, bool)}
    words = []
    for key, value in values.items():
        if key in switches:
            words += [f"--{key}"] if value else []
        elif isinstance(value, str):
            words += [f"--{key}", value]
        else:
            text = yaml.safe_dump(value, default_flow_style=True, width=10**6)
            words += [f"--{key}", text.removesuffix("\n...\n").strip()]
    return words
