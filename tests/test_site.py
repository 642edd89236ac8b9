"""The documentation as a site: it builds without a warning, loads nothing, and can be searched from the disk."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.browser import Page, browser, find_chromium
from tests.repository import ROOT, documents

CHROMIUM = find_chromium()
pytest.importorskip("mkdocs")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built strictly: a warning, a broken link or a missing anchor fails."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


@pytest.fixture(scope="module")
def tab() -> Iterator[Page]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on the PATH")
    with browser(CHROMIUM) as opened:
        yield opened


def test_every_page_of_docs_is_in_it(site: Path) -> None:
    pages = [
        path.relative_to(ROOT / "docs").with_suffix(".html") for path in documents() if path.parts[-2] != ROOT.name
    ]
    assert [page for page in pages if not (site / page).is_file()] == []
    assert list(site.rglob("*.py")) == []


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    loading = re.compile(
        r"<(?:script|img|iframe)[^>]+src=\"?(?:https?:)?//|<link[^>]+rel=\"?stylesheet[^>]+href=\"?(?:https?:)?//"
    )
    assert [page.name for page in site.rglob("*.html") if loading.search(page.read_text("utf-8"))] == []


def test_fields_of_a_docstring_are_a_list_on_its_page(site: Path) -> None:
    page = (site / "api" / "attacks.html").read_text("utf-8")
    assert re.search(r"<li>(<p>)?<code>eps</code>", page)


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", ["index.html", "how-to/write-an-attack.html", "api/attacks.html"])
def test_a_page_opened_from_the_disk_fits_and_asks_for_nothing(site: Path, tab: Page, name: str, width: int) -> None:
    tab.open(site / name, width=width)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    asked = [
        event["params"]["request"]["url"] for event in tab.events if event.get("method") == "Network.requestWillBeSent"
    ]
    assert [url for url in asked if url.startswith("http")] == []


SEARCH = """
const field = document.querySelector(".md-search__input");
field.focus();
document.getElementById("__search").click();
field.value = "rollout-std";
field.dispatchEvent(new Event("input"));
field.dispatchEvent(new Event("keyup"));
"""


def test_the_search_works_from_the_disk(site: Path, tab: Page) -> None:
    tab.open(site / "how-to" / "write-an-attack.html")
    tab.evaluate(SEARCH)
    links: list[str] = []
    deadline = time.monotonic() + 30
    while not links and time.monotonic() < deadline:
        links = tab.evaluate("[...document.querySelectorAll('.md-search-result__link')].map(a => a.href)")
    assert any("catalogue.html" in link or "checkpoints.html" in link for link in links)
