"""A model travels as one file; a file that is anything else leaves no trace."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import struct
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_unet.config import InputError, ModelFileError
from napari_unet.library import packages
from napari_unet.library.checkpoints import save_checkpoint
from napari_unet.library.folders import list_models, read_card, verify
from napari_unet.library.packages import export_model, import_model
from tests.library.test_folders import make

if TYPE_CHECKING:
    from collections.abc import Callable

Entry = tuple[zipfile.ZipInfo, bytes]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model with a checkpoint and a file that is not its own."""
    make(tmp_path / "m", "Größe / ../évil\u202e")
    save_checkpoint(tmp_path / "m", 3, {"a": np.zeros(4)}, {"step": 3})
    (tmp_path / "m" / "notes.txt").write_text("private")
    return tmp_path / "m"


@pytest.fixture
def package(model: Path, tmp_path: Path) -> Path:
    return export_model(model, tmp_path / "m.zip")


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A library beside files that nothing may touch."""
    (tmp_path / "canary").write_text("untouched")
    (tmp_path / "library").mkdir()
    return tmp_path / "library"


def entries(package: Path) -> list[Entry]:
    with zipfile.ZipFile(package) as file:
        return [(entry, file.read(entry)) for entry in file.infolist()]


def rebuild(package: Path, change: Callable[[list[Entry]], list[Entry]]) -> Path:
    """Write a package anew with other entries."""
    changed = change(entries(package))
    package.unlink()
    with zipfile.ZipFile(package, "w") as file:
        for entry, content in changed:
            file.writestr(entry, content)
    return package


def everything(folder: Path) -> dict[str, bytes | None]:
    return {
        str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None
        for p in folder.rglob("*")
    }


def refused(package: Path, library: Path, code: str = "U141") -> None:
    """Importing fails in one line and changes nothing anywhere."""
    before = everything(package.parent)
    with pytest.raises(InputError, match=code) as caught:
        import_model(package, library)
    assert "\n" not in str(caught.value)
    assert everything(package.parent) == before


def test_a_model_comes_out_as_it_went_in(model: Path, package: Path, library: Path) -> None:
    folder = import_model(package, library)
    assert folder.parent == library
    card = verify(folder)
    assert card == read_card(model)
    assert folder.name == f"grosse-evil-{card.checksum[:8]}".replace("grosse", "groe")
    assert {path.name for path in folder.iterdir()} == {"card.json", *card.files}
    for name in card.files:
        assert (folder / name).read_bytes() == (model / name).read_bytes()
    assert [path for path, _ in list_models(library)] == [folder]


def test_the_same_model_gives_the_same_bytes_and_nothing_else_of_its_folder(
    model: Path, package: Path, tmp_path: Path
) -> None:
    again = export_model(model, tmp_path / "again.zip")
    assert again.read_bytes() == package.read_bytes()
    names = {entry.filename for entry, _ in entries(package)}
    assert names == {"card.json", *read_card(model).files}
    content = b"".join(content for _, content in entries(package))
    for private in (str(tmp_path), str(Path.home()), socket.gethostname(), "checkpoint", "private"):
        assert private.encode() not in content


def test_a_model_is_never_imported_over_another(package: Path, library: Path) -> None:
    folder = import_model(package, library)
    (folder / "mine").write_text("x")
    refused(package, library, "U131")


def test_what_is_harmed_is_not_exported(model: Path, tmp_path: Path) -> None:
    for name in ("weights.safetensors", "card.json"):
        shutil.copytree(model, tmp_path / "harmed", dirs_exist_ok=True)
        path = tmp_path / "harmed" / name
        path.write_bytes(path.read_bytes().replace(b"a", b"b", 1))
        with pytest.raises(ModelFileError, match="U141"):
            export_model(tmp_path / "harmed", tmp_path / "x.zip")
    assert not (tmp_path / "x.zip").exists()


def test_an_export_replaces_nothing(model: Path, package: Path, tmp_path: Path) -> None:
    before = package.read_bytes()
    for path in (package, tmp_path / "x.txt", model, package / "x.zip"):
        with pytest.raises(InputError, match="U130"):
            export_model(model, path)
    assert package.read_bytes() == before


def renamed(name: str) -> Callable[[list[Entry]], list[Entry]]:
    """Give history.csv another name."""

    def change(found: list[Entry]) -> list[Entry]:
        for entry, _ in found:
            if entry.filename == "history.csv":
                entry.filename = name
        return found

    return change


def added(
    name: str, content: bytes = b"x", **settings: Any
) -> Callable[[list[Entry]], list[Entry]]:
    """Add an entry."""

    def change(found: list[Entry]) -> list[Entry]:
        entry = zipfile.ZipInfo(name)
        for key, value in settings.items():
            setattr(entry, key, value)
        return [*found, (entry, content)]

    return change


LINK = (stat.S_IFLNK | 0o777) << 16
DEVICE = (stat.S_IFCHR | 0o666) << 16
HOSTILE: dict[str, Callable[[list[Entry]], list[Entry]]] = {
    "above": added("../evil.csv"),
    "far above": added("../" * 20 + "tmp/evil.csv"),
    "absolute": added("/tmp/evil.csv"),
    "drive": added("C:evil.csv"),
    "drive path": added("C:\\evil.csv"),
    "share": added("\\\\host\\share\\evil.csv"),
    "backslash": added("..\\evil.csv"),
    "folder": added("sub/evil.csv"),
    "folder itself": added("sub/", b""),
    "dot": added("./evil.csv"),
    "hidden": added(".evil.csv"),
    "stream": added("evil.csv:hidden"),
    "device name": added("con.csv"),
    "device name in capitals": added("LPT1.csv"),
    "trailing dot": added("evil.csv."),
    "trailing space": added("evil.csv "),
    "control character": added("ev\nil.csv"),
    "right to left": added("evil\u202evsc.csv"),
    "home": added("~evil.csv"),
    "empty name": added(""),
    "long name": added("e" * 300 + ".csv"),
    "program": added("evil.py"),
    "pickle": added("weights.pt"),
    "package in a package": added("evil.zip"),
    "twice": added("history.csv", b""),
    "twice but for case": added("HISTORY.csv", b""),
    "link": added("evil.csv", b"/etc/passwd", external_attr=LINK),
    "device": added("evil.csv", b"", external_attr=DEVICE),
    "not on the card": added("evil.csv"),
    "missing": lambda found: [pair for pair in found if pair[0].filename != "weights.safetensors"],
    "no card": lambda found: [pair for pair in found if pair[0].filename != "card.json"],
    "empty": lambda _found: [],
    "altered": lambda found: [
        (e, c + b" " if e.filename == "config.json" else c) for e, c in found
    ],
    "altered card": lambda found: [
        (e, c.replace(b"instances", b"classes") if e.filename == "card.json" else c)
        for e, c in found
    ],
    "another name": renamed("other.csv"),
    "many": lambda found: [*found, *((zipfile.ZipInfo(f"a{k}.csv"), b"") for k in range(64))],
    "bomb": added("bomb.csv", bytes(2**22), compress_type=zipfile.ZIP_DEFLATED),
    "huge card": lambda found: [
        (e, c + b" " * 2**20 if e.filename == "card.json" else c) for e, c in found
    ],
    "bzip2": added("evil.csv", b"x", compress_type=zipfile.ZIP_BZIP2),
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_hostile_package_leaves_no_trace(package: Path, library: Path, kind: str) -> None:
    refused(rebuild(package, HOSTILE[kind]), library)


def patch_entry(package: Path, offset: int, form: str, value: int) -> None:
    """Change a field of every entry of the central directory, and only there."""
    content = bytearray(package.read_bytes())
    place = content.find(b"PK\x01\x02")
    while place >= 0:
        struct.pack_into(form, content, place + offset, value)
        place = content.find(b"PK\x01\x02", place + 4)
    package.write_bytes(content)


@pytest.mark.parametrize(
    ("offset", "form", "value"),
    [
        (8, "<H", 0x1),  # encrypted
        (10, "<H", 99),  # packed in a way nobody knows
        (16, "<I", 0),  # another CRC
        (20, "<I", 2**31),  # packed size
        (24, "<I", 1),  # shorter than it is
        (24, "<I", 2**31),  # longer than it is
        (42, "<I", 2**31),  # somewhere else
        (42, "<I", 0),  # all entries the same
    ],
)
def test_a_package_that_lies_about_its_entries_is_refused(
    package: Path, library: Path, offset: int, form: str, value: int
) -> None:
    patch_entry(package, offset, form, value)
    refused(package, library)


def test_no_byte_of_a_package_can_be_altered_unnoticed(
    model: Path, package: Path, library: Path
) -> None:
    whole = package.read_bytes()
    rng = np.random.default_rng(0)
    expected = everything(model)
    for place in rng.choice(len(whole), 150, replace=False):
        changed = bytearray(whole)
        changed[place] ^= 1 << int(rng.integers(8))
        package.write_bytes(changed)
        try:
            folder = import_model(package, library)
        except ModelFileError:
            continue
        found = everything(folder)  # a date or the like: what counts is the same
        assert found == {name: expected[name] for name in found}
        shutil.rmtree(folder)
    assert not list(library.iterdir())


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9, 0.999])
def test_half_a_package_is_refused(package: Path, library: Path, share: float) -> None:
    content = package.read_bytes()
    package.write_bytes(content[: int(len(content) * share)])
    refused(package, library)


def test_what_is_not_there_or_has_no_place_is_told(
    package: Path, library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="U126"):
        import_model(tmp_path / "none.zip", library)
    with pytest.raises(InputError, match="U130"):
        import_model(package, tmp_path / "canary")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(packages.shutil, "disk_usage", lambda _: usage._replace(free=10))
    refused(package, library, "U134")


def test_a_full_disk_leaves_no_trace(
    package: Path, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    refused(package, library, "U134")


def test_a_library_is_made_where_there_is_none(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAPARI_UNET_HOME", str(tmp_path / "home"))
    folder = import_model(package)
    assert folder.parent == tmp_path / "home" / "models"
    assert [path for path, _ in list_models()] == [folder]


def test_an_unfinished_import_is_no_model(package: Path, library: Path) -> None:
    folder = import_model(package, library)
    folder.rename(library / ".incoming-0123")
    assert not list_models(library)
