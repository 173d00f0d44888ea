"""The wheel that users install: what it carries, and that napari finds it."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from npe2 import PluginManifest

ROOT = Path(__file__).resolve().parents[1]
NAME = "napari-unet-lab"


def run(*words: str | Path, **environment: str) -> str:
    """Run a command to its end; its words on failure are those of the test."""
    done = subprocess.run(
        list(map(str, words)),
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from the tree, with nothing fetched."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, ROOT)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel, without what it depends on, to a folder that goes before all others."""
    folder = tmp_path_factory.mktemp("site")
    run(
        *(sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"),
        *("--no-deps", "--no-index", "--target", folder, wheel),
    )
    return folder


def test_the_wheel_carries_the_package_alone(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {
        "napari_unet",
        "napari_unet_lab",
    }
    assert {"napari_unet/napari.yaml", "napari_unet/py.typed"} <= set(names)
    assert not [name for name in names if "test" in name.lower()]


def test_the_source_archive_can_be_tested(tmp_path: Path) -> None:
    run(sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", tmp_path, ROOT)
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as archive:
        carried = {"/".join(name.split("/")[1:]) for name in archive.getnames()}
        assert archive.getmember(f"{archive.getnames()[0].split('/')[0]}/napari.yaml").issym()
    read = {"CONTRIBUTING.md", "SECURITY.md", "Makefile", "constraints.txt", "mkdocs.yml"}
    read |= {p.relative_to(ROOT).as_posix() for p in ROOT.joinpath("benchmarks").glob("*.py")}
    assert read <= carried


def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        info = next(name for name in archive.namelist() if name.endswith("/METADATA"))
        metadata = Parser().parsestr(archive.read(info).decode())
    assert metadata["Name"] == NAME
    assert metadata["License-Expression"] == "BSD-3-Clause"
    assert "Framework :: napari" in metadata.get_all("Classifier", [])
    assert metadata["Requires-Python"] == ">=3.11"


def test_the_base_brings_no_viewer_and_no_binding(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        info = next(name for name in archive.namelist() if name.endswith("/METADATA"))
        metadata = Parser().parsestr(archive.read(info).decode())
    needed = [r for r in metadata.get_all("Requires-Dist", []) if "extra ==" not in r]
    assert not [r for r in needed if r.lower().startswith(("napari", "pyqt5", "pyqt6", "pyside"))]


def test_the_installed_wheel_runs(site: Path) -> None:
    here = {"PYTHONPATH": str(site)}
    where = run(sys.executable, "-c", "import napari_unet; print(napari_unet.__file__)", **here)
    assert Path(where.strip()).is_relative_to(site)
    assert "usage" in run(sys.executable, site / "bin/napari-unet", "--help", **here)
    assert "unet2015" in run(sys.executable, "-m", "napari_unet", "architectures", "--json", **here)


def test_napari_finds_the_installed_wheel(site: Path) -> None:
    done = run(sys.executable, "-m", "npe2", "validate", "--imports", NAME, PYTHONPATH=str(site))
    assert "valid" in done.lower()


def test_every_command_of_the_manifest_can_be_imported() -> None:
    manifest = PluginManifest.from_distribution(NAME)
    manifest.validate_imports()
    commands = {command.id for command in manifest.contributions.commands or ()}
    used = {widget.command for widget in manifest.contributions.widgets or ()}
    used |= {sample.command for sample in manifest.contributions.sample_data or ()}
    assert used
    assert used <= commands
    assert all(command.startswith(f"{NAME}.") for command in commands)


def test_the_manifest_at_the_top_is_a_link_to_the_packaged_one() -> None:
    link = ROOT / "napari.yaml"
    assert link.is_symlink()
    assert link.readlink() == Path("src/napari_unet/napari.yaml")
    assert link.read_bytes() == ROOT.joinpath("src/napari_unet/napari.yaml").read_bytes()
