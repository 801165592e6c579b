"""Chromium without a window, and the report as a reader sees it in there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

__all__ = ["Page", "browser_or_reason", "rows", "show_all", "started"]

# Debian's packages chromium and chromium-driver; other systems call the first one otherwise.
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    # Parallel coordinates are drawn with WebGL; here by software.
    "--enable-unsafe-swiftshader",
    "--no-first-run",
    "--window-size=1280,1000",
)
# Marks are drawn as SVG, so a mark's place follows from its axes: data → pixels in the window.
PLACE_OF_MARK = """
const [box, number] = arguments;
for (const trace of box._fullData) {
  const at = (trace.customdata || []).indexOf(number);
  if (at < 0 || trace.visible !== true || trace.yaxis === "y2") continue;
  box.scrollIntoView({ block: "center", behavior: "instant" });
  const { xaxis, yaxis } = box._fullLayout;
  const corner = box.getBoundingClientRect();
  return [corner.left + xaxis._offset + xaxis.d2p(trace.x[at]),
          corner.top + yaxis._offset + yaxis.d2p(trace.y[at])];
}
return null;
"""


def browser_or_reason() -> tuple[str, str] | str:
    """Paths of browser and driver, or why there are none."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver = shutil.which("chromedriver")
    if browser and driver:
        return browser, driver
    missing = "chromedriver" if browser else "a Chromium browser"
    return f"{missing} is not installed; on Debian: apt-get install chromium chromium-driver"


@contextmanager
def started(profile: Path) -> Iterator[webdriver.Chrome]:
    """A browser with an empty `profile`; skips without one, and fails where CI must have it."""
    found = browser_or_reason()
    if isinstance(found, str):
        (pytest.fail if os.environ.get("CI") else pytest.skip)(found)
    browser, driver = found
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    # The driver's path is given, so that nothing looks for one on the network.
    chrome = webdriver.Chrome(options, webdriver.ChromeService(driver))
    try:
        yield chrome
    finally:
        chrome.quit()


class Page:
    """An open report: what can be clicked, and what is then seen."""

    def __init__(self, chrome: webdriver.Chrome, file: Path, words: str = "") -> None:
        self.chrome = chrome
        chrome.get("about:blank")
        chrome.get_log("browser")
        chrome.get(file.as_uri() + words)

    def run(self, script: str, *arguments: Any) -> Any:
        """The value of a piece of JavaScript; the page's own names are known to it."""
        return self.chrome.execute_script(script, *arguments)

    def all(self, selector: str) -> list[WebElement]:
        return self.chrome.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str, text: str = "") -> WebElement:
        """The only element of `selector` whose text begins with `text`."""
        (found,) = [each for each in self.all(selector) if each.text.startswith(text)]
        return found

    def texts(self, selector: str) -> list[str]:
        """Texts of all elements at once: thousands of single questions would take minutes."""
        script = "return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent)"
        return list(self.run(script, selector))

    def press(self, element: WebElement) -> None:
        """Click as a reader does, after scrolling there."""
        self.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element)
        element.click()

    def picker(self, section: str, name: str) -> Select:
        """The select box that a label names."""
        label = self.one(f"#{section} .controls label:has(select)", name)
        return Select(label.find_element(By.TAG_NAME, "select"))

    def toggle(self, section: str, name: str, nth: int = 0) -> WebElement:
        labels = self.all(f"#{section} .controls label:has(input)")
        return [label for label in labels if label.text == name][nth]

    def wait(self, condition: Callable[[], Any], what: str) -> Any:
        return WebDriverWait(self.chrome, 10).until(lambda _: condition(), what)

    def place_of(self, plot: str, number: int) -> list[float]:
        """Where the mark of a candidate is in the window."""
        found = self.run(PLACE_OF_MARK, self.all(plot)[0], number)
        assert found is not None, f"no mark of candidate {number} in {plot}"
        return list(found)

    def move_to(self, x: float, y: float) -> ActionChains:
        actions = ActionChains(self.chrome, duration=50)
        actions.w3c_actions.pointer_action.move_to_location(round(x), round(y))
        return actions

    def errors(self) -> list[str]:
        """What the page has complained about since it was asked last."""
        entries = self.chrome.get_log("browser")
        told = [e["message"] for e in entries if e["level"] in ("SEVERE", "WARNING")]
        # Software that stands in for a graphics card says how slow it is.
        return [message for message in told if "GL Driver Message" not in message]


def rows(page: Page) -> list[list[str]]:
    """The cells of all rows that are shown, after asking for all of them."""
    show_all(page)
    script = "return [...document.querySelectorAll('#candidates tr.row')].map("
    found = page.run(script + "(row) => [...row.cells].map((cell) => cell.textContent))")
    return [list(row) for row in found]


def show_all(page: Page) -> None:
    for button in page.all("#candidates button"):
        if button.text.startswith("Show "):
            page.press(button)
