"""What CONTRIBUTING.md refuses, and what keeps a file readable in one sitting."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest

from tests.test_house import FILES, ROOT, every_file, parse, room_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CODE = sorted(
    p
    for top in ("src", "tests", "benchmarks", "examples", "docs")
    for p in ROOT.joinpath(top).rglob("*.py")
)
UNPICKLERS = frozenset(
    {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
)
VAGUE = frozenset({"util", "utils", "helper", "helpers", "common", "base", "manager", "misc"})


def refusals(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield (line, reason) for everything that CONTRIBUTING.md refuses."""
    for node in ast.walk(tree):
        match node:
            case ast.Import() | ast.ImportFrom():
                module = getattr(node, "module", None)
                for name in [module] if module else [n.name for n in node.names]:
                    if name.split(".")[0] in UNPICKLERS:
                        yield node.lineno, f"{name} runs whatever a file tells it to"
            case ast.Call():
                yield from ((node.lineno, reason) for reason in refused_call(node))
            case ast.ExceptHandler():
                yield from ((node.lineno, reason) for reason in refused_handler(node))
            case ast.Global():
                yield node.lineno, "state of a module that changes"


def refused_call(call: ast.Call) -> Iterator[str]:
    """Yield why a call is refused."""
    name = ast.unparse(call.func)
    if name in {"os.system", "eval", "exec", "yaml.load", "yaml.unsafe_load", "os.popen"}:
        yield f"{name} runs what it is given"
    if name.endswith((".extractall", ".unpack_archive")):
        yield "an archive may write outside its folder"
    settings = {k.arg: k.value.value for k in call.keywords if isinstance(k.value, ast.Constant)}
    for bad in (
        ("weights_only", False),
        ("allow_pickle", True),
        ("shell", True),
        ("align_corners", True),
    ):
        if settings.get(bad[0], "") is bad[1]:
            yield f"{bad[0]}={bad[1]}"
    if name == "torch.load" and settings.get("weights_only") is not True:
        yield "torch.load without weights_only=True"
    if name.endswith("suppress") and {"Exception", "BaseException"} & set(
        map(ast.unparse, call.args)
    ):
        yield "an error of any kind is swallowed"


def refused_handler(handler: ast.ExceptHandler) -> Iterator[str]:
    """Yield why an `except` is refused: it swallows, or catches all without looking."""
    kinds = "" if handler.type is None else ast.unparse(handler.type)
    names = {n.id for body in handler.body for n in ast.walk(body) if isinstance(n, ast.Name)}
    raises = any(isinstance(n, ast.Raise) for body in handler.body for n in ast.walk(body))
    if all(isinstance(step, ast.Pass) for step in handler.body):
        yield f"except {kinds} swallows the error"
    if kinds in {"", "Exception", "BaseException"} and not raises and handler.name not in names:
        yield f"except {kinds} does not say what went wrong"


@every_file
def test_nothing_refused(path: Path) -> None:
    assert not [f"{path.name}:{line}: {reason}" for line, reason in refusals(parse(path))]


@pytest.mark.parametrize(
    "bad",
    [
        "import pickle",
        "from pickle import loads",
        "np.load(path, allow_pickle=True)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "yaml.load(text)",
        "archive.extractall(folder)",
        "subprocess.run(words, shell=True)",
        "os.system(words)",
        "F.interpolate(x, scale_factor=2, mode='bilinear', align_corners=True)",
        "try:\n    f()\nexcept ValueError:\n    pass",
        "try:\n    f()\nexcept Exception as error:\n    log('failed')",
        "try:\n    f()\nexcept:\n    g()",
        "with suppress(Exception):\n    f()",
        "def f():\n    global x",
    ],
)
def test_the_refusal_is_noticed(bad: str) -> None:
    assert list(refusals(ast.parse(bad)))


@every_file
def test_no_state_at_the_level_of_the_module(path: Path) -> None:
    found = [f"{path.name}:{line}" for line in mutable_state(parse(path))]
    assert not found, "use a tuple, a frozenset or MappingProxyType, or annotate it as Mapping"


def mutable_state(tree: ast.Module) -> Iterator[int]:
    """Yield the lines where a module makes a dict, list or set that anyone could change.

    A read-only annotation (Mapping, Sequence) is enough: the type checker then guards it.
    """
    literals = (ast.Dict, ast.List, ast.Set, ast.DictComp, ast.ListComp, ast.SetComp)
    makers = {"dict", "list", "set", "defaultdict", "deque", "OrderedDict", "Counter", "bytearray"}
    for node in tree.body:
        if isinstance(node, ast.AnnAssign):
            kind = ast.unparse(node.annotation)
            target, read_only = ast.unparse(node.target), kind.startswith(("Mapping", "Sequence"))
        elif isinstance(node, ast.Assign):
            target, read_only = ast.unparse(node.targets[0]), False
        else:
            continue
        made = isinstance(node.value, ast.Call) and ast.unparse(node.value.func) in makers
        if (made or isinstance(node.value, literals)) and not read_only and target != "__all__":
            yield node.lineno


@every_file
def test_only_the_shell_prints(path: Path) -> None:
    if room_of(path) != "cli" and path.name != "demo.py":
        names = [n for n in ast.walk(parse(path)) if isinstance(n, ast.Name)]
        assert not [n.lineno for n in names if n.id == "print"]


def test_files_are_named_after_an_idea() -> None:
    assert not [p for p in CODE if VAGUE & set(p.stem.split("_")) or p.parent.name in VAGUE]


def test_a_file_is_read_in_one_sitting() -> None:
    lengths = {p.relative_to(ROOT): len(p.read_text(encoding="utf-8").splitlines()) for p in CODE}
    assert not {str(path): n for path, n in lengths.items() if n > 400}


@every_file
def test_a_function_fits_on_a_page(path: Path) -> None:
    lengths = {
        name: body_lines(node)
        for name, node in definitions(parse(path))
        if not isinstance(node, ast.ClassDef)
    }
    assert not {name: n for name, n in lengths.items() if n > 50}


@every_file
def test_everything_public_is_documented(path: Path) -> None:
    tree = parse(path)
    assert ast.get_docstring(tree), "the file does not say what it is for"
    bare = [name for name, node in definitions(tree) if not ast.get_docstring(node)]
    assert not [name for name in bare if not any(part.startswith("_") for part in name.split("."))]


@every_file
def test_docstrings_name_real_parameters(path: Path) -> None:
    for name, node in definitions(parse(path)):
        if not isinstance(node, ast.ClassDef):
            spec = node.args
            real = {
                a.arg
                for a in (*spec.posonlyargs, *spec.args, *spec.kwonlyargs, spec.vararg, spec.kwarg)
                if a
            }
            assert set(documented(ast.get_docstring(node) or "")) <= real, f"{path.name}: {name}"


Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def definitions(
    node: ast.Module | ast.ClassDef, prefix: str = ""
) -> Iterator[tuple[str, Definition]]:
    """Yield functions, classes and methods with their dotted names; not what functions hide.

    The setter of a property is left out: the property has said what it is.
    """
    for child in node.body:
        if isinstance(child, Definition) and not any(map(is_setter, child.decorator_list)):
            yield prefix + child.name, child
        if isinstance(child, ast.ClassDef):
            yield from definitions(child, f"{prefix}{child.name}.")


def is_setter(decorator: ast.expr) -> bool:
    return isinstance(decorator, ast.Attribute) and decorator.attr == "setter"


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines of a function from `def` on, without its docstring."""
    first = node.body[0]
    text = first.end_lineno - first.lineno + 1 if ast.get_docstring(node) else 0
    return node.end_lineno - node.lineno + 1 - text


def documented(docstring: str) -> list[str]:
    """List the names in the Parameters section of a numpydoc docstring."""
    section = re.search(r"^Parameters\n-+\n(.*?)(?=^\w+\n-{3,}$|\Z)", docstring, re.S | re.M)
    heads = re.findall(r"^(\S[^:\n]*?)\s*(?::.*)?$", section[1], re.M) if section else []
    return [name.strip("* ") for head in heads for name in head.split(",")]


def test_every_code_is_explained() -> None:
    table = ROOT.joinpath("docs/reference/errors.md").read_text(encoding="utf-8")
    used = {
        code
        for path in FILES
        for code in re.findall(r'"(U\d{3})"', path.read_text(encoding="utf-8"))
    }
    assert used == set(re.findall(r"^\| (U\d{3}) \|", table, re.M))
