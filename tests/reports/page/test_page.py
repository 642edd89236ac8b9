"""The page of a study: what it holds, and how it behaves in a browser (skipped where there is no Chromium)."""

import html
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import reports
from benchmarks.browser import Page, browser, find_chromium
from reports.figures.pictures import LARGEST_SVG
from reports.page.html import typeset
from tests.reports.small_study import HOSTILE, SIDECAR, study
from tests.reports.toys import episodes, table

CHROMIUM = find_chromium()
NARROW = 390


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reports.write_report(study(), tmp_path_factory.mktemp("page"), SIDECAR)["index.html"]


@pytest.fixture(scope="module")
def tab() -> Iterator[Page]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on the PATH")
    with browser(CHROMIUM) as opened:
        yield opened


@pytest.fixture
def shown(tab: Page, page: Path) -> Page:
    tab.open(page)
    return tab


# ---- what it holds


def test_everything_a_reader_needs_is_in_it(page: Path) -> None:
    text = page.read_text("utf-8")
    wanted = ["upper bound", "latency 2", "no-op-cell", "Raised if", "body_mass by up to 2.03", "a" * 64, "2.13.0"]
    wanted += ["microbench attack runs/latest --eps 0.1", "1 min 25 s", "their-own-flag", "one training run"]
    assert [one for one in wanted if one not in text] == []
    assert len(text.encode()) < 800_000


def test_a_name_stays_text(page: Path) -> None:
    text = page.read_text("utf-8")
    assert html.escape(HOSTILE) in text
    assert HOSTILE not in text
    assert text.count("<script") == 1


def test_equal_results_give_an_equal_page(page: Path, tmp_path: Path) -> None:
    assert reports.write_report(study(), tmp_path, SIDECAR)["index.html"].read_bytes() == page.read_bytes()


def test_a_large_drawing_gives_way_to_its_bitmap() -> None:
    frame = study()
    small, large = b"<svg width='1' height='1'></svg>", b"<svg>" + b" " * LARGEST_SVG + b"</svg>"
    assert "<img" not in reports.html_page(frame, None, {"a.png": b"bitmap", "a.svg": small})
    assert 'src="data:image/png;base64,Yml0bWFw"' in reports.html_page(
        frame, None, {"a.png": b"bitmap", "a.svg": large}
    )


def test_of_very_many_conditions_the_worst_are_shown() -> None:
    cells = [episodes([50.0 - 0.1 * i], attack="random", eps=i / 1000) for i in range(1, 402)]
    text = reports.html_page(table(episodes([50.0]), *cells))
    assert "The 301 lowest are shown; table.csv has 101 more conditions." in text
    assert 'data-value="0.401"' in text
    assert 'data-value="0.101"' not in text
    assert text.count("The only attack at eps") == 11
    assert "The table below lists 390 smaller budgets." in text


def test_numbers_are_set_with_minus_signs_and_names_are_left_alone() -> None:
    assert (
        typeset("min-q -1.5 [-2.0, -1.0], -3.0 %")
        == "min-q −1.5 [−2.0,\N{NO-BREAK SPACE}−1.0], −3.0\N{NO-BREAK SPACE}%"
    )
    assert typeset("hopper-medium-v2 1e-06") == "hopper-medium-v2 1e-06"


# ---- how it behaves


def test_nothing_is_loaded_and_nothing_goes_wrong(shown: Page) -> None:
    bad = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")
    assert [event for event in shown.events if event["method"] in bad] == []
    requests = [event["params"] for event in shown.events if event["method"] == "Network.requestWillBeSent"]
    sent = [url for url in (request["request"]["url"] for request in requests) if not url.startswith("data:")]
    assert len(sent) == 1
    assert sent[0].endswith("/index.html")
    assert shown.evaluate("document.querySelectorAll('script').length") == 1


def test_the_policy_of_the_page_stops_what_escaping_might_miss(shown: Page) -> None:
    planted = (
        "const s = document.createElement('script'); s.textContent = 'window.planted = 1'; document.body.append(s);"
    )
    assert shown.evaluate(f"{planted} window.planted === undefined")
    assert shown.evaluate("fetch('https://example.org').then(() => 'loaded', () => 'refused')", wait=True) == "refused"


COLUMN = """(name) => {
  const table = document.querySelector('table.sortable');
  const at = [...table.tHead.rows[0].cells].findIndex((cell) => cell.innerText.trim() === name);
  return [...table.tBodies[0].rows].map((row) => row.cells[at].dataset.value);
}"""
HEADER = "[...document.querySelector('table.sortable').tHead.rows[0].cells].find((c) => c.innerText.trim() === '{}')"


def column(tab: Page, name: str) -> list[str]:
    values = tab.evaluate(f"({COLUMN})('{name}')")
    assert isinstance(values, list)
    return values


def test_a_click_on_a_header_sorts_and_says_so(shown: Page) -> None:
    before = [float(value) for value in column(shown, "mean")]
    assert before != sorted(before)
    for direction, order in (("ascending", sorted(before)), ("descending", sorted(before, reverse=True))):
        shown.evaluate(f"{HEADER.format('mean')}.querySelector('button').click()")
        assert [float(value) for value in column(shown, "mean")] == order
        assert shown.evaluate(f"{HEADER.format('mean')}.getAttribute('aria-sort')") == direction
    shown.evaluate(f"{HEADER.format('attack')}.querySelector('button').click()")
    assert column(shown, "attack") == sorted(column(shown, "attack"))
    assert shown.evaluate(f"{HEADER.format('mean')}.getAttribute('aria-sort')") == "none"


def test_what_has_no_value_stays_below(shown: Page) -> None:
    for _ in range(2):
        shown.evaluate(f"{HEADER.format('Δ vs. clean')}.querySelector('button').click()")
        values = column(shown, "Δ vs. clean")
        assert values[-2:] == ["", ""]
        assert "" not in values[:-2]


def test_a_keyboard_sorts_too(shown: Page) -> None:
    shown.evaluate("document.querySelector('table.sortable button').focus()")
    shown.press("Enter", 13, "\r")
    assert shown.evaluate("document.querySelector('table.sortable th').getAttribute('aria-sort')") == "ascending"
    shown.press("Tab", 9)
    assert shown.evaluate("document.activeElement.innerText.trim()") == "attack"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_overflows_on_a_phone(tab: Page, page: Path, scheme: str) -> None:
    tab.open(page, width=NARROW, height=844, scheme=scheme)
    assert tab.evaluate("window.innerWidth") == NARROW
    assert tab.evaluate("document.documentElement.scrollWidth") <= NARROW
    tables = "[...document.querySelectorAll('.scroll.table')]"
    assert tab.evaluate(f"{tables}.some((box) => box.scrollWidth > box.clientWidth)")  # wide, but in a box of their own


def test_nothing_is_cut_off_on_paper(tab: Page, page: Path) -> None:
    """A4 with margins of 15 mm is 680 CSS pixels wide; print is black on white whatever the screen is."""
    tab.open(page, width=680, scheme="dark")
    tab.call("Emulation.setEmulatedMedia", media="print", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    assert tab.evaluate("document.documentElement.scrollWidth") <= 680
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert tab.evaluate("getComputedStyle(document.querySelector('details .why p')).visibility") == "visible"
    assert tab.evaluate("document.querySelector('details .why').getBoundingClientRect().height") > 0


def test_text_can_be_read_on_both_papers(tab: Page, page: Path) -> None:
    """WCAG's contrast of 4.5 for ordinary text, ink and soft ink and accent, on paper and on a panel."""
    for scheme in ("light", "dark"):
        tab.open(page, scheme=scheme)
        style = "getComputedStyle(document.documentElement).getPropertyValue('--{}').trim()"
        colour = {name: tab.evaluate(style.format(name)) for name in ("paper", "panel", "ink", "soft", "accent")}
        for text in ("ink", "soft", "accent"):
            for behind in ("paper", "panel"):
                assert contrast(colour[text], colour[behind]) >= 4.5, (scheme, text, behind)


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb (WCAG 2.2)."""
    channels = [int(part, 16) / 255 for part in re.findall(r"[0-9a-f]{2}", colour)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
