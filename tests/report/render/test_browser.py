"""The report as a browser shows it: loads nothing, fits a phone, prints, and can be read without eyes or a mouse."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from coremlbench.report.files import save_report
from coremlbench.types.failure import Failure
from coremlbench.types.training_records import Trained
from tests import record_samples as samples
from tests.report.test_build import save

pytestmark = pytest.mark.browser

HOSTILE = Failure(
    kind="hostile",
    reason="<script>document.title = 'taken'</script>" + "x" * 10_000,
    hint="\u202ehint",
    evidence=replace(samples.OUT_OF_MEMORY.evidence, log_tail=("<img src=x onerror=\"document.title='taken'\">",)),
)
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 360, "height": 740}, "color_scheme": "light"},
}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A report of stand-in records of three machines, real pictures, hostile text and a broken record."""
    results = tmp_path_factory.mktemp("results")
    save(results, *samples.few(), samples.training(90, failure=HOSTILE))
    for record in samples.few():
        if isinstance(record.outcome, Trained) and record.outcome.samples:
            folder = results / record.id / "samples"
            folder.mkdir()
            for sample in record.outcome.samples:
                Image.new("RGB", (120, 90), (200, 120, 40)).save(results / record.id / sample.path)
    (results / "broken").mkdir()
    (results / "broken/run.json").write_text("{")
    return save_report([results], results / "out", formats=("html",))[0].as_uri()


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(params=LOOKS)
def page(request: pytest.FixtureRequest, browser: Browser, address: str) -> Iterator[Page]:
    """The report in a window; it fails a test that makes the page complain, ask for something or take its title."""
    context = browser.new_context(**LOOKS[request.param])
    page = context.new_page()
    complaints: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda sent: asked.append(sent.url[:100]))
    page.goto(address)
    yield page
    assert complaints == []
    assert {each for each in asked if not each.startswith("data:image/jpeg;base64,")} == {address}
    assert page.title().startswith("coremlbench report, ")
    context.close()


def test_nothing_serious_for_those_who_cannot_see_or_point(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    found = Axe().run(page).response["violations"]
    serious = [
        (each["id"], each["nodes"][0]["html"][:200]) for each in found if each["impact"] in ("serious", "critical")
    ]
    assert serious == []


def test_the_page_never_scrolls_sideways(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    width, window = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert width <= window


def test_notes_on_packages_fit_the_window(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    rows = page.evaluate(
        "[...document.querySelectorAll('#variants .note td > div')].map(each => each.getBoundingClientRect().toJSON())"
    )
    window = page.evaluate("window.innerWidth")
    assert len(rows) > 2
    assert all(row["left"] >= 0 and row["right"] <= window for row in rows)


def test_pictures_and_plots_are_shown(page: Page) -> None:
    assert page.evaluate("[...document.images].every(each => each.complete && each.naturalWidth > 0)")
    sizes = page.evaluate(
        "[...document.querySelectorAll('figure svg')].map(each => each.getBoundingClientRect().width)"
    )
    assert len(sizes) > 8
    assert min(sizes) > 250


def test_a_figure_leads_to_its_record_by_keyboard(page: Page) -> None:
    link = page.locator("#matrix a.figure").first
    link.focus()
    page.keyboard.press("Enter")
    shown = page.locator("li:target a")
    assert shown.is_visible()
    assert str(shown.get_attribute("href")).endswith("/run.json")


def test_hostile_text_stands_there_as_text(page: Page) -> None:
    reason = page.locator("#failures").get_by_text("<script>document.title").first
    assert reason.is_visible()
    assert page.locator("script").count() == 0


def test_bars_have_one_scale_for_a_model(page: Page) -> None:
    """A bar twice as long is twice the time, whatever column it stands in."""
    scales = page.evaluate(
        """[...document.querySelectorAll('table.matrix tbody')].map(table => {
            const rows = [...table.querySelectorAll('td .bar')].map(bar => {
                const [number, unit] = bar.parentElement.querySelector('b').textContent.split(' ');
                return bar.getBoundingClientRect().width / (number * (unit === 'µs' ? 0.001 : 1));
            });
            return Math.max(...rows) / Math.min(...rows);
        })"""
    )
    assert len(scales) == 4
    assert all(scale < 1.1 for scale in scales), scales


def test_it_prints_on_paper(browser: Browser, address: str, tmp_path: Path) -> None:
    page = browser.new_page()
    page.goto(address)
    data = page.pdf(format="A4")
    assert data.startswith(b"%PDF")
    assert data.count(b"/Type /Page\n") > 3
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible()
    page.close()
