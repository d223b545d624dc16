"""Make the example report again from the runs of a results folder, with their records beside it and a picture.

    python docs/make_example.py results
    python docs/make_example.py docs/example-report/records     the same runs, as reports are now

Only what the report links to is copied: each run's ``run.json`` and its small test pictures. The picture of the page
needs Chromium and Playwright; without them the one that is there stays.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from coremlbench.report.files import save_report

EXAMPLE = Path(__file__).parent / "example-report"


def main() -> None:
    """Copy the records, save the report and take its picture."""
    records = EXAMPLE / "records"
    with tempfile.TemporaryDirectory() as folder:
        for results in sys.argv[1:]:
            copy_records(Path(results), Path(folder) / "records")
        shutil.rmtree(EXAMPLE, ignore_errors=True)  # last, as the records may be the example's own
        shutil.copytree(Path(folder) / "records", records)
    page = save_report([records], EXAMPLE)[0]
    chromium = os.environ.get("COREMLBENCH_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if chromium:
        photograph(page, chromium)


def copy_records(results: Path, folder: Path) -> None:
    """Copy the record and the test pictures of each run."""
    for record in sorted(results.glob("*/run.json")):
        target = folder / record.parent.name
        target.mkdir(parents=True)
        text = record.read_text(encoding="utf-8")  # where the results lay on this machine is nobody's concern
        (target / "run.json").write_text(text.replace(str(results.resolve()), "results"), encoding="utf-8")
        if (record.parent / "samples").is_dir():
            shutil.copytree(record.parent / "samples", target / "samples", ignore=shutil.ignore_patterns("*.npz"))


def photograph(page: Path, chromium: str) -> None:
    """Save the top of the page as ``report.png`` beside it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        window = browser.new_page(viewport={"width": 1280, "height": 1500})
        window.goto(page.absolute().as_uri())
        window.screenshot(path=page.with_suffix(".png"))
        browser.close()


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("Name one or more results folders: python docs/make_example.py results")
    main()
