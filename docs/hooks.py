"""Pages of the site that are made from the source: recipe reference, architecture, model cards."""

import json
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from speechbrain_tasnet.bundle.card import FOLDER, REPOSITORY
from speechbrain_tasnet.configuration.reference import json_schema, reference_page

ROOT = Path(__file__).parents[1]
CARDS = "cards/{}.md"

RECIPES = """\
# Recipe reference

A recipe is a [HyperPyYAML](https://github.com/speechbrain/HyperPyYAML) file. This page lists its keys, with the
values in `hparams/shared/training.yaml`, which all packaged recipes include.

## How values are given

- `lr: 0.001` is a plain value, `!ref <lr>` another key's, `!new:` builds an object, `!name:` names a function and
  the arguments it will get, and `!PLACEHOLDER` must be given on the command line.
- `<<: !include:shared/training.yaml` includes the keys of another file as the recipe's own. The file is looked
  for beside the recipe, then among the packaged ones. Keys that the recipe has itself override the included ones.
- `model: !include:model/convtasnet.yaml` includes a network; `--model NAME` on the command line replaces it.
- On the command line `--KEY VALUE` or `--KEY=VALUE` overrides any key at the top level, included or not. Paths
  and names are taken as they are typed, other values are YAML; lists and values with spaces go into quotes:
  `--speeds '[0.95, 1.0, 1.05]'`. SpeechBrain's run options are accepted as well.

A recipe is a program: `!new:`, `!name:` and `!apply:` import and call whatever they name, before anything is
checked. Run only recipes of people whose programs you would run, and read those that you have downloaded.

What a run has used, with everything resolved, is in `hyperparams.yaml` of its output folder.

```yaml
# mine.yaml: tasnet train mine.yaml --data_folder my_corpus
<<: !include:shared/training.yaml
experiment_name: mine
mode: min
prepare: !name:speechbrain_tasnet.data.wsj0mix.prepare_wsj0mix
    {data_folder: !ref <data_folder>, save_folder: !ref <save_folder>, num_spks: !ref <num_spks>,
     sample_rate: !ref <sample_rate>, mode: !ref <mode>, skip_prep: !ref <skip_prep>}
lr: 0.0005
```

## In an editor

A JSON schema of recipes describes, completes and checks the keys in editors with a YAML language server, such as
VS Code with its YAML extension. Download [recipe.schema.json](recipe.schema.json), or print it with

```sh
python -m speechbrain_tasnet.configuration.reference --schema > recipe.schema.json
```

and name it in the first line of the recipe:

```yaml
# yaml-language-server: $schema=recipe.schema.json
```

The editor may not know HyperPyYAML's tags (`!ref`, `!new:` and the others) and underline them; they are not
errors.

"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that no file in ``docs`` holds."""
    for path, text in generated().items():
        files.append(File.generated(config, path, content=text))
    return files


def generated() -> dict[str, str]:
    """Return the text of all generated files, by their paths in the site."""
    architecture = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    shipped = (ROOT / "speechbrain_tasnet/shipped").glob("*/README.md")
    return {
        "recipe-reference.md": RECIPES + reference_page(),
        "recipe.schema.json": json.dumps(json_schema(), indent=1),
        "architecture.md": rebased(architecture),
        **{CARDS.format(card.parent.name): shown_card(card) for card in sorted(shipped)},
    }


def shown_card(card: Path) -> str:
    """Return the card of a bundled separator, which calls it by its name.

    A card is written for its folder, wherever that will be: here it is that of an installed package.
    """
    text, name = card.read_text(encoding="utf-8"), card.parent.name
    text = re.sub(r"  # or huggingface_hub\..*", "", text).replace(FOLDER, f'"{name}"')
    text = text.replace(f"(source={REPOSITORY})`", "(source=folder)`; `tasnet models --json` prints the folder")
    return re.sub(r"On the test set of `[^`]*`", "On [its test set](../separators.md#the-data)", text)


def rebased(text: str) -> str:
    """Make links of a page at the root lead to the same pages within the site.

    Examples
    --------
    >>> rebased("[a](docs/train.md#precision), [b](docs/images/x.svg), [c](hparams/demo.yaml), [d](https://x.org)")
    '[a](train.md#precision), [b](images/x.svg), c, [d](https://x.org)'
    """
    text = re.sub(r"\]\(docs/", "](", text)
    # What the site does not hold is named without a link.
    outside = r"(?<!!)\[([^]]*)\]\((?!https?:|#|images/|[\w-]+\.md[#)])[^)]*\)"
    return re.sub(outside, r"\1", text)
