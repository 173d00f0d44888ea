"""The documentation tells the truth: code runs, commands parse, links lead somewhere."""

from __future__ import annotations

import re
import runpy
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from npe2 import PluginManifest

from napari_unet.arrays.samples import touching_cells
from napari_unet.cli.parser import make_parser
from napari_unet.config import TrainConfig
from napari_unet.training.loop import train

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.joinpath("docs").rglob("*.md"))]
CODE = "https://github.com/napari-unet-lab/napari-unet-lab/blob/main/"


def blocks(page: Path, language: str) -> list[str]:
    """List the fenced blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text("utf-8"), re.S | re.M)


def pages_with(language: str) -> pytest.MarkDecorator:
    found = [page for page in PAGES if blocks(page, language)]
    return pytest.mark.parametrize("page", found, ids=lambda p: p.relative_to(ROOT).as_posix())


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model that exists before a page is read."""
    folder = tmp_path_factory.mktemp("docs") / "my-model"
    config = TrainConfig.from_recipe("quick", epochs=0, model={"base": 4, "depth": 2})
    assert list(train(config, [touching_cells((128, 128), seed=0)], folder))
    return folder


@pages_with("python")
def test_python_on_a_page_runs(
    page: Path, untrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if "parent=" in page.read_text("utf-8"):
        shutil.copytree(untrained, "my-model")
    image, labels = touching_cells((128, 128), seed=1)
    names: dict[str, Any] = {"pairs": [(image, labels)], "image": image}
    for block in blocks(page, "python"):
        # what takes minutes for a reader takes one epoch of a narrow network here
        short = re.sub(r"minutes=\d+", 'epochs=1, model={"base": 4}', block)
        short = short.replace("256, 256", "128, 128")
        exec(compile(short, str(page), "exec"), names)


@pages_with("sh")
def test_commands_on_a_page_are_understood(page: Path) -> None:
    parser = make_parser()
    for block in blocks(page, "sh"):
        for line in block.splitlines():
            words = shlex.split(line.strip(), comments=True)
            if words[:1] == ["napari-unet"]:
                assert parser.parse_args(words[1:]).run


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_into_the_project_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8"))
    code = [ROOT / link.removeprefix(CODE) for link in links if link.startswith(CODE)]
    near = [page.parent / link.split("#")[0] for link in links if "://" not in link]
    assert not [str(path) for path in (*code, *near) if not path.exists()]


def test_menus_are_called_as_the_pages_say() -> None:
    manifest = PluginManifest.from_distribution("napari-unet-lab")
    offered = {
        "Plugins": {widget.display_name for widget in manifest.contributions.widgets or ()},
        "File > Open Sample": {s.display_name for s in manifest.contributions.sample_data or ()},
    }
    for page in PAGES:
        for menu, plugin, entry in re.findall(
            r"\*(Plugins|File > Open Sample) > ([^>*]+) > ([^>*]+)\*", page.read_text("utf-8")
        ):
            assert plugin == manifest.display_name, page
            assert entry in offered[menu], page


@pytest.fixture(scope="module")
def generated() -> dict[str, str]:
    """The reference as the script writes it: what a page holds, by its name."""
    pages: dict[str, str] = runpy.run_path(str(ROOT / "docs/scripts/reference.py"))["pages"]()
    return pages


@pytest.mark.parametrize("page", ["settings.md", "networks.md", "command-line.md"])
def test_a_generated_page_is_up_to_date(generated: dict[str, str], page: str) -> None:
    written = ROOT.joinpath("docs/reference", page).read_text("utf-8")
    assert written == generated[page], "run: make docs"


@pytest.mark.parametrize(
    "page", sorted(ROOT.joinpath("docs/concepts").glob("*.md")), ids=lambda p: p.stem
)
def test_a_concept_is_pinned_by_tests_that_exist(page: Path) -> None:
    pins = re.findall(rf"\[`(test_\w+)`\]\({CODE}(tests/\S+\.py)\)", page.read_text("utf-8"))
    assert pins or page.stem == "design"
    for name, path in pins:
        assert f"def {name}(" in ROOT.joinpath(path).read_text("utf-8"), f"{path} lacks {name}"
