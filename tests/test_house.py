"""The floor plan and the walls: which room may import what."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
SRC = ROOT / "src/napari_unet"
FILES = sorted(SRC.rglob("*.py"))

ROOMS = (
    "config", "events", "arrays", "tiling", "targets", "metrics", "library", "models",
    "training", "inference", "exchange", "engine", "cli", "ui",
)  # fmt: skip
TORCH_ROOMS = frozenset({"models", "training", "inference", "exchange"})
SERVER_HALF = frozenset({SRC / "engine/server.py", SRC / "engine/work.py"})
VIEWER = frozenset(
    {"napari", "qtpy", "superqt", "magicgui", "pyqtgraph", "vispy", "PyQt5", "PyQt6", "PySide6"}
)
every_file = pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(SRC).as_posix())


@dataclass(frozen=True)
class Import:
    """One imported module: where, and whether it happens when the file is imported."""

    module: str
    line: int
    when: str  # "start", "later" (inside a function), "typing" (under TYPE_CHECKING)

    @property
    def package(self) -> str:
        return self.module.split(".")[0]

    @property
    def room(self) -> str | None:
        """The room of this project that is imported; '' is the package itself."""
        package, _, rest = self.module.partition(".")
        return rest.split(".")[0] if package == "napari_unet" else None


def room_of(path: Path) -> str:
    """Name the room of a source file; '' for the files of the package itself."""
    first = path.relative_to(SRC).parts[0]
    return "" if first in {"__init__.py", "__main__.py"} else first.removesuffix(".py")


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(path: Path) -> Iterator[Import]:
    """Yield what `path` imports, also in functions and through import_module("...")."""
    yield from _imports(parse(path), path, "start")


def _imports(node: ast.AST, path: Path, when: str) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        for module in _modules(child, path):
            yield Import(module, child.lineno, when)
        inside = when
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            inside = "typing"
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            inside = "later" if when == "start" else when
        yield from _imports(child, path, inside)


def _modules(node: ast.AST, path: Path) -> list[str]:
    match node:
        case ast.Import(names=names):
            return [name.name for name in names]
        case ast.ImportFrom(module=module, level=level, names=names):
            here = ("napari_unet", *path.relative_to(SRC).parent.parts)
            origin = ".".join([*here[: len(here) - level + 1], *([module] if module else [])])
            origin = origin if level else str(module)
            return [f"{origin}.{name.name}" for name in names]
        case ast.Call(args=[ast.Constant(value=str(module)), *_]) if ast.unparse(
            node.func
        ).endswith(("import_module", "__import__")):
            return [module]
    return []


@every_file
def test_every_file_belongs_to_a_room(path: Path) -> None:
    assert room_of(path) in ("", *ROOMS)


@every_file
def test_a_file_imports_only_rooms_to_its_left(path: Path) -> None:
    here = room_of(path)
    for found in imports(path):
        where = f"{path.relative_to(ROOT)}:{found.line} imports {found.module}"
        if found.room is None or found.module == "napari_unet.__version__":
            continue
        assert found.room in ROOMS, f"{where}: take it from the room it lives in"
        if here == "":
            entry = path.name == "__main__.py" and found.room == "cli"
            assert entry or found.when != "start", f"{where} when it is imported"
        else:
            assert ROOMS.index(found.room) <= ROOMS.index(here), f"{where}, a room to its right"


@every_file
def test_torch_stays_on_its_side_of_the_wall(path: Path) -> None:
    room = room_of(path)
    served = room in TORCH_ROOMS or path in SERVER_HALF
    for found in imports(path):
        where = f"{path.relative_to(ROOT)}:{found.line} imports {found.module}"
        if found.package == "torch":
            assert served or (room == "cli" and found.when != "start"), where
        if found.room in TORCH_ROOMS and room in {"engine", "ui"} and not served:
            assert found.when == "typing", f"{where}, which imports torch"
        if room != "engine" and found.module.startswith(
            ("napari_unet.engine.server", "napari_unet.engine.work")
        ):
            assert (room, found.when) == ("cli", "later"), f"{where}, the other process"


@every_file
def test_the_viewer_is_known_in_ui_alone(path: Path) -> None:
    if room_of(path) != "ui":
        assert not [f"{i.line}: {i.module}" for i in imports(path) if i.package in VIEWER]


def modules_without_torch(*, ui: bool) -> list[str]:
    """Name every module on disk whose import must leave torch out."""
    return [
        ".".join(path.relative_to(SRC.parent).with_suffix("").parts).removesuffix(".__init__")
        for path in FILES
        if room_of(path) not in TORCH_ROOMS
        and path not in {SRC / "__main__.py", *SERVER_HALF}
        and (room_of(path) == "ui") == ui
    ]


def first_to_load(modules: list[str], unwanted: frozenset[str]) -> str:
    """Import `modules` one by one in a fresh interpreter; name the first that loads `unwanted`."""
    code = (
        "import importlib, json, sys\n"
        "modules, unwanted = json.load(sys.stdin)\n"
        "for module in modules:\n"
        "    importlib.import_module(module)\n"
        "    loaded = {name.split('.')[0] for name in sys.modules} & set(unwanted)\n"
        "    if loaded:\n"
        "        sys.exit(f'{module} loads {sorted(loaded)}')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps([modules, sorted(unwanted)]),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stderr.strip()


def test_what_needs_no_torch_and_no_window_loads_neither() -> None:
    assert first_to_load(modules_without_torch(ui=False), VIEWER | {"torch"}) == ""


def test_the_window_loads_no_torch() -> None:
    assert first_to_load(modules_without_torch(ui=True), frozenset({"torch"})) == ""


def test_the_names_of_the_package_are_found_where_it_says() -> None:
    import napari_unet

    for name in napari_unet.__all__:
        assert callable(getattr(napari_unet, name)), name
