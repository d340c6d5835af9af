"""The schema of a recipe for people and for editors: ``python -m speechbrain_tasnet.configuration.reference``.

With ``--schema`` it prints a JSON schema, by which an editor's YAML language server completes and checks a recipe.
"""

import json
import re
import sys
from typing import Any

from speechbrain_tasnet.configuration.includes import MERGE
from speechbrain_tasnet.configuration.packaged import PACKAGED
from speechbrain_tasnet.configuration.schema import (
    Built,
    Data,
    Hparams,
    Mixing,
    Network,
    Section,
    Settings,
    Training,
    expected,
)
from speechbrain_tasnet.configuration.yaml_text import Entry, entries

SECTIONS = {
    "Data": Data,
    "Dynamic mixing": Mixing,
    "Training": Training,
    "Network": Network,
    "What is built": Built,
}

SHARED = PACKAGED / "shared/training.yaml"
DRAFT = "https://json-schema.org/draft/2020-12/schema"

# In HyperPyYAML any value may instead be made of others, be built, or still be to be given.
ELSE = [{"type": "string", "pattern": "<.+>"}, {"type": ["object", "array", "null"]}]


def reference_page() -> str:
    """Return the reference of all keys of a recipe, as Markdown with a table for each section."""
    parts, shared = [], entries(SHARED.read_text(encoding="utf-8"))
    for title, section in SECTIONS.items():
        rows = [_row(name, section, shared.get(name)) for name in _own(section)]
        head = f"## {title}\n\n{section.__doc__}\n\n| key | expected | in our recipes | |\n|---|---|---|---|\n"
        parts.append(head + "\n".join(rows) + "\n")
    return "\n".join(parts)


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of a recipe's YAML file, which may leave to others what it includes."""
    plain = Settings.model_json_schema()["properties"]
    properties = {MERGE: {"title": "a file whose keys are the recipe's, too"}}
    for name, field in Hparams.model_fields.items():
        own = {key: value for key, value in plain.get(name, {}).items() if key not in ("title", "description")}
        properties[name] = {
            "title": f"{name}: {expected(name)}",
            "description": " ".join(field.description.split()),
            "anyOf": [own, *ELSE],
        }
    return {"$schema": DRAFT, "title": "Recipe", "type": "object", "properties": properties}


def _own(section: type[Section]) -> list[str]:
    return list(section.__annotations__)


def _row(name: str, section: type[Section], shared: Entry | None) -> str:
    field = section.model_fields[name]
    value = "" if shared is None else re.sub(r"\s+#.*", "", shared.body[0].partition(":")[2]).strip()
    cells = (f"`{name}`", expected(name), value and f"`{value}`", " ".join(field.description.split()))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    print(json.dumps(json_schema(), indent=1) if "--schema" in sys.argv[1:] else reference_page())
