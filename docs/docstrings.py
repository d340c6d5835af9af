"""Docstrings as the site's API page reads them."""

from itertools import groupby
from typing import Any

import griffe


class Docstrings(griffe.Extension):
    """Adapt what griffe makes of our docstrings.

    A section ``Example`` is read as NumPy's ``Examples``. Parameters that share a description share an entry, too;
    griffe would give each of them the description of all and the default of the first. Types of single parameters
    are those of the signature.

    Of what a class inherits, only public names are shown.
    """

    def on_class(self, *, cls: griffe.Class, **_: Any) -> None:
        """Leave out the bases that nobody outside can use."""
        cls.bases = [base for base in cls.bases if not str(base).rpartition(".")[2].startswith("_")]

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the docstring of a module, class or function that was read."""
        if not obj.docstring:
            return
        obj.docstring.value = obj.docstring.value.replace("Example\n-------\n", "Examples\n--------\n")
        sections = obj.docstring.parse("numpy", warnings=False)
        known = {each.name: each.annotation for each in getattr(obj, "parameters", ())}
        for section in sections:
            if section.kind is griffe.DocstringSectionKind.parameters:
                section.value = [_joined(list(group), known) for _, group in groupby(section.value, _shared)]
        obj.docstring.__dict__["parsed"] = sections


def _shared(parameter: griffe.DocstringParameter) -> tuple[str, str]:
    return parameter.description, str(parameter.annotation)


def _joined(group: list[griffe.DocstringParameter], known: dict) -> griffe.DocstringParameter:
    first = group[0]
    if len(group) == 1:
        first.annotation = known.get(first.name) or first.annotation
        return first
    types = [known.get(parameter.name) for parameter in group]
    annotation = types[0] if len(set(map(str, types))) == 1 else first.annotation
    if annotation is first.annotation and str(annotation).count(",") != len(group) - 1:  # no type for each
        annotation = None
    names = ", ".join(parameter.name for parameter in group)
    return griffe.DocstringParameter(names, annotation=annotation, description=first.description)
