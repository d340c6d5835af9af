"""The results of `tasnet doctor`, as one value and as a page to read."""

from importlib.util import find_spec
from typing import NamedTuple

from speechbrain_tasnet import __version__
from speechbrain_tasnet.doctor import machine
from speechbrain_tasnet.doctor.packages import needed_packages, optional_parts
from speechbrain_tasnet.installation import ALL_NEEDED, first_broken

GIGA = 1e9


class Examination(NamedTuple):
    """What was found, as in the JSON output, and the problems, each one line with its solution."""

    facts: dict
    problems: list[str]


def examine() -> Examination:
    """Examine packages, machine and fast paths; what cannot be imported ends the examination early.

    Returns
    -------
    Examination
        All that was found. Without problems everything works here as fast as it can.
    """
    packages = needed_packages()
    problems = [package.problem for package in packages if package.problem]
    facts = {
        "version": __version__,
        "packages": [package._asdict() for package in packages],
        "optional": {
            extra: {"there": not part.missing, **part._asdict()} for extra, part in optional_parts().items()
        },
        "machine": machine.system() if find_spec("psutil") else {},
    }
    broken = first_broken(ALL_NEEDED)
    if broken is not None:
        problems.insert(0, str(broken))
    if broken is not None and broken.name != "numba":
        return Examination(facts | {"problems": problems}, problems)

    from speechbrain_tasnet.doctor import fast_paths

    facts["machine"] |= machine.torch_settings()
    paths = fast_paths.examine()
    problems += [f"{path.name}: {path.note}" for path in paths if path.wrong]
    facts["fast paths"] = [path._asdict() for path in paths]
    facts["folders"] = machine.folders()
    for name, folder in facts["folders"].items():
        if not folder["writable"]:
            problems.append(f"{name}: {folder['path']} cannot be written; change its permissions")
        if folder["free"] < machine.LOW:
            problems.append(f"{name}: {folder['free'] / GIGA:.1f} GB free at {folder['path']}; make room")
    return Examination(facts | {"problems": problems}, problems)


def render(found: Examination) -> str:
    """Format the examination as a page of text.

    Parameters
    ----------
    found : Examination
        As `examine` returns it.
    """
    facts = found.facts
    lines = [f"speechbrain_tasnet {facts['version']}", "", *_machine(facts["machine"])]
    lines += ["", "packages"]
    for package in facts["packages"]:
        mark = "!" if package["problem"] else " "
        lines.append(f" {mark} {package['name']:14} {package['version'] or 'missing':12} {package['wanted']}")
    if "fast paths" in facts:
        lines += ["", "fast paths, each compared here with its reference", *map(_path, facts["fast paths"])]
        lines += ["", "folders"]
        for name, folder in facts["folders"].items():
            lines.append(f"   {name:16} {folder['free'] / GIGA:6.0f} GB free  {folder['path']}")
    lines += ["", "optional parts"]
    for extra, part in facts["optional"].items():
        missing = f"missing {', '.join(part['missing'])}: pip install 'speechbrain-tasnet[{extra}]'"
        lines.append(f"   {extra:12} {part['adds']}: {'there' if part['there'] else missing}")
    lines.append("")
    lines += [f"problem: {problem}" for problem in found.problems] or ["Everything works here."]
    return "\n".join(lines)


def _machine(facts: dict) -> list[str]:
    """Format the machine's description, without torch's part if torch cannot be imported."""
    if not facts:
        return []
    features = ", ".join(f"{name} {'yes' if there else 'no'}" for name, there in facts["features"].items())
    lines = [
        f"system      {facts['system']}, Python {facts['python']}",
        f"processor   {facts['processor']}: {features or 'features unknown'}",
        f"cores       {facts['cores']}, {facts['usable cores']} of them usable here",
        f"memory      {facts['memory'] / GIGA:.0f} GB, {facts['free memory'] / GIGA:.0f} GB of it free",
    ]
    if "threads" in facts:
        lines.append(f"torch       {facts['threads']} threads, {facts['instructions']} instructions")
        lines.append(f"GPU         {', '.join(facts['gpus']) or 'none'}")
    return lines


def _path(path: dict) -> str:
    if not path["used"]:
        return f"   {path['name']:32} not used: {path['note']}"
    speed = f"{path['speedup']:5.1f} times as fast"
    if path["speedup"] < 1:
        speed += " here, and used all the same"  # only the block of a GPU is chosen by its speed
    if path["error"] is None:
        return f"   {path['name']:32} {speed}, {path['note']}"
    mark = "!" if path["note"] else " "
    return f" {mark} {path['name']:32} {speed}, largest error {path['error']:.0e} {path['note']}".rstrip()
