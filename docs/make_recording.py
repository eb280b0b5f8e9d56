"""Make docs/images/page.webp, a moving picture of the page of `elman serve`, with Chromium and Selenium.

Run as ``python docs/make_recording.py [RUNS]``. First Unroll plays forward and backward, then Train until the GRU
knows the name. The model on the page is the GRU of `elman demo`, trained in the folder RUNS if it is not there yet.
The steps of the page are pressed one by one, so that the picture does not depend on the speed of the machine.
"""

import argparse
import base64
import io
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from make_screenshots import IMAGES, browser, served, train
from PIL import Image
from selenium.webdriver import Chrome

WIDTH, HEIGHT = 1240, 695
TEXT = "Tom was watching TV . Mary said hi to Tom"
STEP, HOLD = 170, 1400  # ms that a picture stays
SETTLE = 0.45  # s, longer than the page's transitions
ROUNDS = 4  # presses of Train's Step between two pictures
MOST = 40  # pictures of Train

Frame = tuple[Image.Image, int]  # a picture and the milliseconds it stays

BEGIN = """
const done = arguments[arguments.length - 1], {store} = elman.app;
const until = async (is) => { while (!is()) await new Promise((go) => setTimeout(go, 50)); };
(async () => {
  await until(() => store.get("ready") && !store.get("opening") && store.get("scored"));
  const field = document.querySelector("#write-text");
  field.value = arguments[0];
  field.dispatchEvent(new Event("input", {bubbles: true}));
  await until(() => store.get("scored")?.text === arguments[0]);
  const columns = arguments[0].split(" ").length + 1;
  await until(() => document.querySelectorAll("#unroll-columns .column").length === columns);
  document.querySelector("#unroll-time").value = 6;
  document.querySelector("#unroll-time").dispatchEvent(new Event("input"));
  document.querySelector("#unroll-start").click();
  done();
})();
"""
LEARN = """
const done = arguments[arguments.length - 1], count = () => document.querySelector("#lesson-result").textContent;
const until = async (is) => { while (!is()) await new Promise((go) => setTimeout(go, 20)); };
(async () => {
  for (let k = 0; k < arguments[0]; k += 1) {
    const before = count();
    document.querySelector("#lesson-step").click();
    await until(() => count() !== before);
  }
  done(count());
})();
"""
GUESS = """
const done = arguments[arguments.length - 1];
document.querySelector('#lesson-names button[value="Tom"]').click();
const wait = setInterval(() => {
  if (document.querySelectorAll("#lesson-answers tbody tr").length < 3) return;
  clearInterval(wait);
  done();
}, 50);
"""


def main() -> None:
    """Train the model if needed, serve it, and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "runs", type=Path, nargs="?", help="folder of the model (default: a temporary folder)"
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        runs = given.runs or Path(scratch)
        train(runs, "rooms")
        with served(runs, "rooms") as address, browser() as driver:
            open_page(driver, address)
            frames = [*unroll(driver), *lesson(driver)]
    pictures, stays = zip(*frames, strict=True)
    path = IMAGES / "page.webp"
    first, *others = pictures
    first.save(path, save_all=True, append_images=others, duration=stays, loop=0, quality=80, method=6)
    size = f"{first.width} × {first.height}, {len(pictures)} pictures, {sum(stays) / 1000:.1f} s"
    print(f"{path}: {size}, {path.stat().st_size / 1000:.0f} kB")


def open_page(driver: Chrome, address: str) -> None:
    """Open the page in English and in light colours, at the beginning of Unroll."""
    size = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    driver.get(address + "/page/favicon.svg")
    driver.execute_script("localStorage.setItem('elman.language', 'en')")
    driver.get(address)
    while not driver.execute_script("return Boolean(window.elman?.app?.store.get('ready'))"):
        time.sleep(0.1)
    driver.execute_script("document.querySelector('nav').hidden = true")  # it would cover a panel's title
    driver.execute_async_script(BEGIN, TEXT)


def unroll(driver: Chrome) -> Iterator[Frame]:
    """Play forward, then backward."""
    shoot = camera(driver, "#title-unroll")
    yield shoot(), HOLD // 2
    step = "const step = document.querySelector('#unroll-step'); step.click(); return !step.disabled"
    position, forward = 0, len(TEXT.split()) + 1
    more = True
    while more:
        more = driver.execute_script(step)
        position += 1
        yield shoot(), STEP if more and position != forward else HOLD


def lesson(driver: Chrome) -> Iterator[Frame]:
    """Answer the question, then train until the GRU knows the name."""
    driver.execute_async_script(GUESS)
    shoot = camera(driver, "#panel-lesson")
    yield shoot(), HOLD
    for _ in range(MOST):
        result = driver.execute_async_script(LEARN, ROUNDS)
        knows = "The GRU has known the name" in result
        yield shoot(), 2 * HOLD if knows else STEP
        if knows:
            return
    raise SystemExit("the GRU has not learnt the name")


def camera(driver: Chrome, top: str) -> Callable[[], Image.Image]:
    """Scroll to an element and return what takes pictures of the window below it."""
    driver.execute_script("document.querySelector(arguments[0]).scrollIntoView(); scrollBy(0, 8)", top)

    def shoot() -> Image.Image:
        time.sleep(SETTLE)
        answer: dict[str, Any] = driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
        return Image.open(io.BytesIO(base64.b64decode(answer["data"]))).convert("RGB")

    return shoot


if __name__ == "__main__":
    main()
