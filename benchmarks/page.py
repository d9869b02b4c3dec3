"""Cost of the main job's page, in seconds.

Timed is how long it takes to write it, and until a browser that opens it is at one's disposal.

    python benchmarks/page.py [--n 5]

The job is run once, with networks trained for two epochs, which changes no size; then its folder is
written n times: numbers, all figures as PNG and SVG, the page. The page is at one's disposal when
the last task of 50 ms or longer has ended, of those that bring tables, rasters and the first chart.
Needs Chromium or Chrome. Wall times, so an idle machine too.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import Any

from pairs import row, seconds, show

from neurosparse import report, sidebyside

BROWSERS = ("chromium", "google-chrome", "google-chrome-stable", "chromium-browser")
OBSERVE = """window.tasks = [];
new PerformanceObserver((found) => tasks.push(...found.getEntries())).observe({ type: "longtask", buffered: true });"""
USABLE = """() => {
  const charts = performance.getEntriesByName("charts")[0];
  if (!charts || performance.now() < charts.startTime + 500) return null; // tasks are told of late
  const before = tasks.filter((task) => task.startTime < charts.startTime);
  const interactive = performance.getEntriesByName("interactive")[0].startTime;
  return Math.max(interactive, ...before.map((task) => task.startTime + task.duration));
}"""


def main_job(folder: Path) -> tuple[Any, ...]:
    """Return what the main job writes: its comparison, the folder, and the panels."""
    handed: list[tuple[Any, ...]] = []
    write = report.write

    def note(*arguments: Any) -> Path:
        handed.append(arguments)
        return write(*arguments)

    report.write = note
    try:
        sidebyside.run(sidebyside.SideBySideSpec(epochs=2), folder, lambda *_: None)
    finally:
        report.write = write
    return handed[0]


def usable(page: Path, n: int) -> list[float]:
    """Return the seconds from the opening of a page until it is usable, n times."""
    from playwright.sync_api import sync_playwright

    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        raise RuntimeError(f"needs a browser: one of {', '.join(BROWSERS)}")
    found = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        for _ in range(n):
            opened = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
            opened.add_init_script(OBSERVE)
            opened.goto(page.as_uri())
            found.append(opened.wait_for_function(USABLE, timeout=60_000).json_value() / 1e3)
            opened.context.close()
        browser.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=5)
    n = parser.parse_args().n
    with tempfile.TemporaryDirectory() as folder:
        comparison, _, panels = main_job(Path(folder) / "job")
        written = Path(folder) / "written"
        took = [seconds(lambda: report.write(comparison, written, panels)) for _ in range(n)]
        page = written / report.PAGE
        size = page.stat().st_size / 1e6
        opened = usable(page, n)
    show(
        [
            row("page", "-", "s to write", took, None, "<= 5 s"),
            row("page", "-", "MB", [size], None, "< 6 MB"),
            row("page", "-", "s from opening until usable", opened, None, "<= 1 s"),
        ]
    )


if __name__ == "__main__":
    main()
