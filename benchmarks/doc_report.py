"""Take the picture of the HTML report that the README shows.

Run as `python -m automl_cf.benchmarks.doc_report [RUN]` at the top of the repository. It writes the top of the report
of a run, of results/every-searcher-10s if no other is named, to docs/figures/report.png. It needs playwright, which the
extra `dev` brings, and a Chromium.
"""

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from automl_cf.analysis.report import write_report
from automl_cf.analysis.run import Run

RUN, PICTURE = Path("results/every-searcher-10s"), Path("docs/figures/report.png")
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def main(run: Path = RUN) -> None:
    """Write the report to a temporary file, open it in a browser without a network, and take a picture."""
    from playwright.sync_api import sync_playwright

    browser_path = next(filter(None, map(shutil.which, _BROWSERS)))
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        page_path = write_report(Run.load(run), Path(folder) / "report.html")
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1100, "height": 1180})
        page.goto(page_path.as_uri())
        page.wait_for_selector(".plot svg")
        page.screenshot(path=PICTURE)
        browser.close()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
