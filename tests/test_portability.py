"""The package goes without what POSIX alone has: no file asks for it, and programs run where it is taken away."""

import ast
import os
import subprocess
import sys
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import pytest
import soundfile
import torch
from like_windows import FUNCTIONS, MODULES, SYSTEM

from speechbrain_tasnet.data.endless_stream import Stream
from speechbrain_tasnet.data.pipeline import make_dataset
from speechbrain_tasnet.data.skipping import SkipBadItems

ROOT = Path(__file__).parents[1]
FILES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "speechbrain_tasnet").rglob("*.py"))
# What Windows does not have, and its name where a program asks for it.
POSIX_MODULES = MODULES | {"_posixsubprocess", "posix", "readline"}
POSIX_SIGNALS = {"SIGALRM", "SIGCHLD", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGQUIT", "SIGSTOP", "SIGUSR1", "SIGUSR2"}
POSIX_NAMES = {"os": SYSTEM | {"fork", "getpgid", "uname", "O_NONBLOCK"}, "signal": FUNCTIONS | POSIX_SIGNALS}
GUARDS = ("os.name", "sys.platform", "hasattr", "TYPE_CHECKING")


def unguarded_imports(tree: ast.Module) -> set[str]:
    """Name the modules of POSIX that are imported whatever the system is."""
    found, nodes = set(), list(tree.body)
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
        elif not isinstance(node, ast.FunctionDef) and not is_guarded(node):
            nodes += ast.iter_child_nodes(node)
    return found & POSIX_MODULES


def is_guarded(node: ast.AST) -> bool:
    """Tell whether what stands below a node is run on some systems alone, or may fail to be imported."""
    if isinstance(node, ast.Try):
        caught = [ast.unparse(handler.type) for handler in node.handlers if handler.type is not None]
        return any(name in error for error in caught for name in ("ImportError", "ModuleNotFoundError"))
    return isinstance(node, ast.If) and any(guard in ast.unparse(node.test) for guard in GUARDS)


def unguarded_names(tree: ast.Module) -> set[str]:
    """Name what POSIX alone has in `os` and `signal`, where the same function does not ask for it by that name."""
    found = set()
    for node in ast.walk(tree):
        names = POSIX_NAMES.get(ast.unparse(node.value), ()) if isinstance(node, ast.Attribute) else ()
        if names and node.attr in names and node.attr not in asked_for(tree, node):
            found.add(ast.unparse(node))
    return found


def asked_for(tree: ast.Module, wanted: ast.AST) -> set[str]:
    """List the texts in calls of `hasattr` and `getattr` in the function around a node."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and wanted in ast.walk(node)]
    calls = [node for node in ast.walk(functions[-1] if functions else tree) if isinstance(node, ast.Call)]
    asking = [call for call in calls if ast.unparse(call.func) in ("hasattr", "getattr")]
    return {text.value for call in asking for text in call.args if isinstance(text, ast.Constant)}


def texts_without_encoding(tree: ast.Module) -> list[str]:
    """Quote what opens or reads a text in the encoding of the system, which on Windows is an old one."""
    found = []
    for node in ast.walk(tree):
        keywords = {keyword.arg for keyword in node.keywords} if isinstance(node, ast.Call) else {"encoding"}
        if "encoding" in keywords:
            continue
        name = ast.unparse(node.func)
        mode = node.args[1:] if name == "open" else node.args
        text = not mode or (isinstance(mode[0], ast.Constant) and "b" not in str(mode[0].value))
        opens = name == "open" or (name.endswith(".open") and name not in ("os.open", "tarfile.open", "wave.open"))
        if (opens and text) or name.endswith((".read_text", ".write_text")) or "text" in keywords:
            found.append(ast.unparse(node))
    return found


@pytest.mark.parametrize("file", FILES)
def test_no_file_needs_what_posix_alone_has(file):
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    assert not unguarded_imports(tree)
    assert not unguarded_names(tree)
    assert not texts_without_encoding(tree)


@pytest.mark.parametrize(
    ("check", "refused", "allowed"),
    [
        (unguarded_imports, "import os, fcntl", "try:\n    import fcntl\nexcept ImportError:\n    fcntl = None"),
        (unguarded_imports, "from resource import getrusage", "if os.name == 'posix':\n    import resource"),
        (unguarded_imports, "try:\n    import pwd\nexcept OSError:\n    pass", "def f():\n    import pwd"),
        (unguarded_imports, "class A:\n    import termios", "if sys.platform != 'win32':\n    import termios"),
        (unguarded_names, "def f():\n    return signal.SIGPIPE", "signal.SIGTERM, signal.SIGINT"),
        (unguarded_names, "a = os.getuid()", "a = os.getuid() if hasattr(os, 'getuid') else 0"),
        (unguarded_names, "hasattr(os, 'fork')\ndef f():\n    os.fork()", "os.path.join(os.getcwd())"),
        (texts_without_encoding, "path.read_text()", "path.read_text(encoding='utf-8')"),
        (texts_without_encoding, "path.write_text('x')", "path.write_bytes(b'x')"),
        (texts_without_encoding, "path.open('w', newline='')", "path.open('rb'), open(path, 'ab', buffering=0)"),
        (
            texts_without_encoding,
            "open(path)",
            "os.open(path, 0), tarfile.open(path), open(path, encoding='ascii')",
        ),
        (texts_without_encoding, "subprocess.run(words, text=True)", "subprocess.run(words, encoding='utf-8')"),
    ],
)
def test_the_check_itself_finds_what_it_should(check, refused, allowed):
    assert check(ast.parse(refused))
    assert not check(ast.parse(allowed))


def alone(tmp_path, program, *words, **variables):
    """Run a program, which new processes import again, in a process of its own; returns what it said."""
    (tmp_path / "program.py").write_text(program, encoding="utf-8")
    path = os.pathsep.join(filter(None, [str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"PYTHONPATH": path, "PYTHONWARNINGS": "ignore"} | variables
    command = [sys.executable, "program.py", *map(str, words)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


EVALUATE = """
import like_windows
like_windows.take_away()
import sys
from importlib import import_module

if __name__ == "__main__":
    for name in {modules!r}:
        import_module(name)
    from speechbrain_tasnet.experiment.workflow import run
    from speechbrain_tasnet.separation.pretrained import TasNetSeparation
    assert not like_windows.MODULES & set(sys.modules)
    print(*TasNetSeparation.from_bundle("convtasnet-8k-2spk").separate_file(sys.argv[1]).shape)
    run(sys.argv[2:], evaluate_only=True)
"""


def test_import_separate_and_evaluate_without_posix(corpus, trained, tmp_path):
    """In folders with names of Windows, whose backslashes are letters here, and with a loading process."""
    modules = [file.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for file in FILES]
    modules = [name for name in modules if not name.startswith("speechbrain_tasnet.ops.gpu")]  # needs triton
    (tmp_path / r"C:\new\train").symlink_to(corpus)
    (tmp_path / r"C:\test\bundle").symlink_to(trained / "pretrained")
    mixtures = sorted((corpus / "wav8k/min/tt/mix").glob("*.wav"))
    words = ["wsj0mix", "--device", "cpu", "--noprogressbar", "--metrics", "[]", "--num_workers", "1"]
    words += [
        "--data_folder",
        r"C:\new\train",
        "--pretrained",
        r"C:\test\bundle",
        "--output_folder",
        r"C:\runs\now",
    ]
    said = alone(tmp_path, EVALUATE.format(modules=modules), mixtures[0], *words)
    assert f"1 {soundfile.info(mixtures[0]).frames} 2" in said.decode().splitlines()
    scores = (tmp_path / r"C:\runs\now" / "test_results.csv").read_text(encoding="utf-8").splitlines()
    assert len(scores) == 1 + len(mixtures)


GENERATE = """
import like_windows
like_windows.take_away()

if __name__ == "__main__":
    from speechbrain_tasnet.generate.mixing import make_mixtures
    from speechbrain_tasnet.generate.synthetic_voices import synthesize_speech
    synthesize_speech("speech", num_speakers=(4, 3, 3), utterances=3, workers=2)
    make_mixtures("speech", "mix", hours=20 / 3600, valid_hours=8 / 3600, test_hours=8 / 3600, workers=2)
"""


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.wav")}


def test_a_corpus_is_made_without_posix_by_processes_that_begin_empty(speech_folder, corpus, tmp_path):
    alone(tmp_path, GENERATE)
    assert contents(tmp_path / "speech") == contents(speech_folder)
    assert contents(tmp_path / "mix") == contents(corpus)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mix", "program.py", "speech"]


def test_what_loading_processes_are_sent_makes_the_same_items(trained, corpus):
    items = make_dataset(trained / "save/tr.csv", corpus, 2, 8000, segment=0.5, speeds=(0.9, 1.1), seed=1)
    stream = Stream(SkipBadItems(items, replace=True), seed=2)
    sent = ForkingPickler.loads(ForkingPickler.dumps(stream))
    for position in (0, 1, 20):
        item, other = stream[position].item, sent[position].item
        assert item["id"] == other["id"]
        assert torch.equal(item["sources"], other["sources"])


def test_names_that_the_output_has_no_letters_for_are_written_all_the_same(corpus, tmp_path):
    mixture = min((corpus / "wav8k/min/tt/mix").glob("*.wav"))
    (tmp_path / "\u0433\u043e\u043b\u043e\u0441.wav").symlink_to(mixture)
    program = "from speechbrain_tasnet.cli import main\nmain()"
    words = ["separate", "\u0433\u043e\u043b\u043e\u0441.wav", "--out", "out"]
    said = alone(tmp_path, program, *words, PYTHONIOENCODING="cp1252")
    assert said.decode("cp1252").splitlines()[0] == r"out/\u0433\u043e\u043b\u043e\u0441_s1.wav"
    assert len(list((tmp_path / "out").iterdir())) == 2
