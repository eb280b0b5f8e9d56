"""The page of `elman serve` in a real browser: Chromium, driven through Selenium."""

import json
import shutil
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("selenium", reason="these tests drive a browser: pip install selenium")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
if CHROMIUM is None or DRIVER is None:
    need = "these tests drive a browser: apt-get install chromium chromium-driver fonts-nanum"
    pytest.skip(need, allow_module_level=True)

from selenium.webdriver import ActionChains, Chrome, ChromeOptions  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.remote.webelement import WebElement  # noqa: E402
from selenium.webdriver.support.ui import Select  # noqa: E402

from support.processes import serving  # noqa: E402
from support.waiting import LONG, wait_until  # noqa: E402

FLAGS = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--lang=en")
# the text has been scored, and no panel waits that is in sight or within the margin in which panels send requests
IDLE = """elman.app.store.get('scored') !== null && [...document.querySelectorAll('[aria-busy]')].every((panel) => {
  const {top, bottom, height} = panel.getBoundingClientRect();
  return height === 0 || bottom < -200 || top > innerHeight + 200;
})"""
UP_TO_DATE = """((panel) => {
  panel.scrollIntoView();
  return !panel.hasAttribute("aria-busy");
})(document.getElementById(`panel-${arguments[0]}`))"""
# scrolls to an element, and returns it when its middle, where a click goes, is not covered; null: not yet
REACHED = """
const element = document.querySelector(arguments[0]);
element?.scrollIntoView({block: "center"});
const box = element?.getClientRects()[0];
const there = box && document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
return element?.contains(there) ? element : null"""
EXPECTED = "favicon"  # messages of the console about it are no faults of the page

__all__ = ["ActionChains", "By", "Keys", "Page", "Server", "open_browser"]


def open_browser() -> Chrome:
    """Start a Chromium whose console is kept."""
    options = ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS, "--window-size=1280,900"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options, Service(str(DRIVER)))
    driver.set_script_timeout(LONG)
    return driver


class Server:
    """`elman serve` as a process of its own."""

    def __init__(
        self, *runs: Path, watch: tuple[Path, ...] = (), key: str = "", options: tuple[str, ...] = ()
    ) -> None:
        watched = (str(part) for run in watch for part in ("--watch", run))
        self._arguments = [*map(str, runs), *watched, *options]
        self._key = key
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self.address = ""

    def start(self) -> "Server":
        """Start it, on the port that it had before."""
        arguments = [*self._arguments, "--port", str(self._port)]
        key = {"ELMAN_API_KEY": self._key} if self._key else {}
        self._process, self.address = serving(*arguments, environment=key)
        self._port = int(self.address.rpartition(":")[2])
        return self

    def kill(self) -> None:
        """End it at once, as a power failure would."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def ask(self, path: str, body: Any = None) -> Any:
        """Send a request; return the JSON of the answer."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._key}"}
        with urllib.request.urlopen(
            urllib.request.Request(self.address + path, data, headers), timeout=LONG
        ) as answer:
            return json.load(answer)


class Page:
    """The page in the browser, and what a person does to it."""

    def __init__(self, driver: Chrome, address: str) -> None:
        self.driver = driver
        self.address = address
        self.expected: tuple[str, ...] = (
            EXPECTED,
        )  # parts of console messages that are no faults of the page

    def open(self, path: str = "/", ready: str = "elman.app.store.get('ready')") -> "Page":
        """Open it as on a first visit."""
        self.driver.get(self.address + "/page/favicon.svg")
        self.js("try { localStorage.clear(); sessionStorage.clear() } catch {}")
        self.driver.get(self.address + path)
        self.until(f"window.elman?.app?.store && ({ready})")
        if "ready" in ready:
            self.settled()
        return self

    def js(self, script: str, *arguments: Any) -> Any:
        """Run a script in the page and return what it returns."""
        return self.driver.execute_script(script, *arguments)

    def until(self, expression: str, *arguments: Any) -> Any:
        """Wait until a JavaScript expression holds, and return its value."""
        return wait_until(lambda: self.js(f"return {expression}", *arguments), expression)

    def settled(self) -> None:
        """Wait until nothing is being generated and what can be seen is up to date."""
        self.until("!elman.app.store.get('opening') && !elman.app.store.get('streaming')")
        self.until("!document.documentElement.classList.contains('starting')")
        self.idle()

    def idle(self) -> None:
        """Wait until what can be seen is up to date: nothing that has been requested is on its way."""
        self.until(IDLE)

    def get(self, key: str) -> Any:
        """Return a value of the page's state."""
        return self.js("return elman.app.store.get(arguments[0])", key)

    def one(self, selector: str) -> WebElement:
        """Wait for an element and return it."""
        self.until("document.querySelector(arguments[0]) !== null", selector)
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        """Return the elements that are there now."""
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        """Return the text of an element."""
        return str(self.js("return document.querySelector(arguments[0]).textContent", selector))

    def texts(self, selector: str) -> list[str]:
        """Return the texts of elements."""
        script = "return [...document.querySelectorAll(arguments[0])].map((each) => each.textContent)"
        found: list[str] = self.js(script, selector)
        return found

    def click(self, selector: str) -> None:
        """Click on an element where it can be seen."""
        wait_until(lambda: self.js(REACHED, selector), selector).click()

    def type(self, text: str, into: str = "#write-text") -> None:
        """Type a text into a field that is emptied first."""
        field = self.one(into)
        self.js("arguments[0].scrollIntoView({block: 'center'})", field)
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys(Keys.DELETE)
        field.send_keys(text)

    def write(self, text: str) -> None:
        """Type a text into Write and wait until what can be seen is about it."""
        self.type(text)
        self.until("elman.app.store.get('scored')?.text === arguments[0]", text)
        self.idle()

    def press(self, *keys: str) -> None:
        """Press keys, wherever the focus is."""
        ActionChains(self.driver, duration=0).send_keys(*keys).perform()

    def choose(self, selector: str, value: str) -> None:
        """Choose a value of a list."""
        self.until(
            "document.querySelector(arguments[0])?.checkVisibility({visibilityProperty: true})", selector
        )
        element = self.one(selector)
        self.js("arguments[0].scrollIntoView({block: 'center'})", element)
        Select(element).select_by_value(value)

    def show(self, panel: str) -> None:
        """Scroll to a panel, and wait until it is up to date; invisible panels send no requests."""
        self.until(UP_TO_DATE, panel)

    def look(self, width: int = 1280, height: int = 900, scheme: str = "light") -> None:
        """Set the window's size and the colours that the reader prefers."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def complaints(self) -> list[str]:
        """Return the unexpected errors and warnings of the console."""
        entries = [entry for entry in self.driver.get_log("browser") if entry["level"] != "INFO"]
        messages = [str(entry["message"]) for entry in entries]
        return [each for each in messages if not any(known in each for known in self.expected)]
