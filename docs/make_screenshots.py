"""Make docs/images/page-*.png, pictures of the page of `elman serve`, with Chromium and Selenium.

Run as ``python docs/make_screenshots.py [RUNS]``. The models on the page are trained in the folder RUNS if they are not
there yet: the GRU and the Elman network of `elman demo`, and a small one of characters of the built-in Korean story.
That takes about two minutes of one core. --all keeps every picture, not only those in the README and the guide;
--model rooms makes only those of one text's models.
"""

import argparse
import base64
import io
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

IMAGES = Path(__file__).parent / "images"
FLAGS = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars")
TRAINING = {  # arguments of `elman train`
    "rooms": "rooms --recipe rooms",
    "rooms-rnn": "rooms --recipe rooms --cell rnn --lr 0.005 --epochs 10",
    "korean": (
        "prose-ko --level char --cell lstm --hidden 192 --wordvec 48 --batch-size 32 --lr 0.004 --schedule cosine"
        " --dropout 0.2 --epochs 1000 --iterations 500"
    ),
}
MODELS = {"rooms": ("rooms", "rooms-rnn"), "korean": ("korean",)}  # on the page with a model
DESKTOP, PHONE = 1240, 390
GREETING = (
    "Tom was watching TV in his room . Mary came into the room . The dog barked at Ann . Mary said hi to Tom"
)
UNANSWERED = GREETING.removesuffix(" Tom")
LINES = f"{GREETING} .\nAnn was reading a book in her room . John came in . John said hi to Ann ."
BEGINNING = "Lisa was"
TIDE = "밀물이 들어오면 배가"


@dataclass(frozen=True)
class Shot:
    """A picture: its panels, the width and colour scheme of the page, and the script that prepares it."""

    name: str
    panels: tuple[str, ...]
    prepare: str = ""
    width: int = DESKTOP
    scheme: str = "light"
    language: str = "en"
    model: str = "rooms"


WRITE = f"""
await write({BEGINNING!r});
pick("#write-seed", "3", "input"); pick("#write-max", "90", "input");
document.querySelector("#write-generate").click();
await until(() => !store.get("streaming") && store.get("scored") && store.get("text").length > 60);
"""
COOL = """
document.querySelector("#slider-temperature").value = 0.45;
document.querySelector("#slider-temperature").dispatchEvent(new Event("input"));
"""
LOOK = """
const at = store.get("scored").tokens.findLastIndex((each) => each.entropy_bits > 2.5 && each.rank === 2);
store.set("cursor", at);
await until(() => document.querySelector("#next-bars .actual"));
"""
INSIDE = f"""
await write({LINES!r});
await until(() => document.querySelectorAll("#inside-text .token").length === store.get("scored").tokens.length);
pick("#inside-property", "sentence_position", "change");
await until(() => document.querySelector("#inside-found button"));
document.querySelector("#inside-found button").click();
pick("#inside-order", "found", "change");
"""
GREET = f"""
await write({GREETING!r});
store.set("cursor", {len(GREETING.split()) - 1});
"""
NEXT = f"""
{GREET}
await until(() => document.querySelector("#next-bars .actual"));
"""
TIME = f"""
{GREET}
await until(() => document.querySelectorAll("#time-list-other .time-of").length === {len(GREETING.split()) - 1});
"""
COMPARE = f"""
pick("#compare-a", "{UNANSWERED} Tom .", "input");
pick("#compare-b", "{UNANSWERED} John .", "input");
await until(() => document.querySelector("#compare-parting").textContent.includes("John"));
"""
UNROLL = f"""
await write({UNANSWERED!r});
await until(() => document.querySelectorAll("#unroll-columns .column").length === {len(UNANSWERED.split()) + 1});
document.querySelector("#unroll-columns .column:nth-child(20)").focus();
"""
TRAIN = """
const result = () => document.querySelector("#lesson-result").textContent;
await until(() => document.querySelector("#lesson-names button"));
document.querySelector("#lesson-names button").click();
await until(() => document.querySelector("#lesson-answers tbody tr"));
while (!result().includes("The GRU has known the name")) {
  const before = result();
  document.querySelector("#lesson-step").click();
  await until(() => result() !== before);
}
await until(() => Number(document.querySelector("#train-perplexity").textContent) > 0);
"""
SHOTS = (
    Shot("unroll", ("unroll",), UNROLL),
    Shot("unroll-dark", ("unroll",), UNROLL, scheme="dark"),
    Shot("phone-unroll", ("unroll",), UNROLL, PHONE),
    Shot("write-next", ("write", "next"), WRITE + LOOK),
    Shot("train", ("train",), TRAIN),
    Shot("inside", ("inside",), INSIDE),
    Shot("time", ("time",), TIME),
    Shot("compare", ("compare",), COMPARE),
    Shot("write-next-dark", ("write", "next"), WRITE + LOOK, scheme="dark"),
    Shot("inside-dark", ("inside",), INSIDE, scheme="dark"),
    Shot(
        "korean",
        ("write", "next"),
        COOL + WRITE.replace(repr(BEGINNING), repr(TIDE)),
        language="ko",
        model="korean",
    ),
    Shot("phone-train", ("train",), TRAIN, PHONE),
    Shot("phone-write", ("write",), WRITE, PHONE),
    Shot("phone-next", ("next",), NEXT, PHONE),
    Shot("phone-inside", ("inside",), INSIDE, PHONE),
    Shot("phone-time", ("time",), TIME, PHONE),
    Shot("phone-compare", ("compare",), COMPARE, PHONE, scheme="dark"),
)
KEPT = ("unroll", "write-next", "train", "inside", "time", "compare", "korean")  # and the strip of phones
STRIP = ("phone-unroll", "phone-train", "phone-next", "phone-time")
SCALE = 1.5

HEAD = """
const done = arguments[arguments.length - 1], {store} = elman.app;
const until = async (is) => { while (!is()) await new Promise((go) => setTimeout(go, 50)); };
const pick = (selector, value, event) => {
  const field = document.querySelector(selector);
  field.value = value;
  field.dispatchEvent(new Event(event, {bubbles: true}));
};
const write = async (text) => {
  pick("#write-text", text, "input");
  await until(() => store.get("scored")?.text === text);
};
const panels = arguments[0].map((name) => document.getElementById(`panel-${name}`));
(async () => {
  await until(() => store.get("ready") && !store.get("streaming") && store.get("scored"));
  if (store.get("model") !== arguments[1]) pick("#model", arguments[1], "change");
  await until(() => !store.get("streaming") && store.get("scored")?.model === arguments[1]);
  document.querySelector("nav").hidden = true; // in a narrow window it stays at the top
  panels[0].scrollIntoView();
"""
TAIL = """
  for (const panel of panels) {
    panel.scrollIntoView(); // those out of sight send no requests
    await until(() => !panel.hasAttribute("aria-busy"));
  }
  panels[0].scrollIntoView();
  elman.tip?.hide();
  document.activeElement.blur();
  for (const part of ["write-text", "write-tokens"]) document.getElementById(part).scrollTop = 0;
  await new Promise((go) => setTimeout(go, 700));
  const bounds = (side, nodes) => nodes.map((node) => node.getBoundingClientRect()[side]);
  const heads = panels.map((panel) => panel.querySelector("h2"));
  const [top, bottom] = [Math.min(...bounds("top", heads)), Math.max(...bounds("bottom", panels))];
  done([top + scrollY, bottom - top]);
})();
"""


def main() -> None:
    """Train the missing models, serve them, and take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "runs", type=Path, nargs="?", help="folder of the models (default: a temporary folder)"
    )
    parser.add_argument("--all", action="store_true", help="keep all pictures")
    parser.add_argument("--model", choices=MODELS, help="make only the pictures of this model")
    given = parser.parse_args()
    shots = [shot for shot in SHOTS if given.model in (None, shot.model)]
    models = [name for shown in ([given.model] if given.model else MODELS) for name in MODELS[shown]]
    with tempfile.TemporaryDirectory() as scratch:
        runs = given.runs or Path(scratch)
        train(runs, *models)
        with served(runs, *models) as address, browser() as driver:
            found = {shot.name: take(driver, address, shot) for shot in shots}
    if found.keys() >= set(STRIP):
        found["phones"] = side_by_side([found[name] for name in STRIP])
    for name in found if given.all else found.keys() & {*KEPT, "phones"}:
        path = IMAGES / f"page-{name}.png"
        found[name].quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(
            path, optimize=True
        )
        print(f"{path}: {found[name].width} × {found[name].height}, {path.stat().st_size / 1000:.0f} kB")


def train(runs: Path, *names: str) -> None:
    """Train those of the models that the folder lacks."""
    runs.mkdir(exist_ok=True)
    for name in names:
        if not (runs / name / "model.safetensors").exists():
            command = [sys.executable, "-m", "elman", "train", *TRAINING[name].split(), "-q", "-o", name]
            subprocess.run(command, cwd=runs, check=True)


@contextmanager
def served(runs: Path, *names: str) -> Iterator[str]:
    """Serve the models and yield the address."""
    command = [sys.executable, "-m", "elman", "serve", *(runs / name for name in names), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process.stderr.readline().partition(" at ")[2].partition(";")[0]
        finally:
            process.terminate()


@contextmanager
def browser() -> Iterator[Chrome]:
    """Start Chromium."""
    options = ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in FLAGS:
        options.add_argument(flag)
    driver = Chrome(options, Service(shutil.which("chromedriver")))
    driver.set_script_timeout(120)
    try:
        yield driver
    finally:
        driver.quit()


def take(driver: Chrome, address: str, shot: Shot) -> Image.Image:
    """Prepare the page and take one picture."""
    size = {"width": shot.width, "height": 1000, "deviceScaleFactor": SCALE, "mobile": shot.width == PHONE}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": shot.scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    driver.get(address + "/page/favicon.svg")
    driver.execute_script("localStorage.setItem('elman.language', arguments[0])", shot.language)
    driver.get(address)
    while not driver.execute_script("return Boolean(window.elman?.app?.store.get('ready'))"):
        time.sleep(0.1)
    top, height = driver.execute_async_script(HEAD + shot.prepare + TAIL, shot.panels, shot.model)
    margin = 14
    clip = {"x": 0, "y": top - margin, "width": shot.width, "height": height + 2 * margin, "scale": 1}
    options = {"format": "png", "clip": clip, "captureBeyondViewport": True}
    picture = driver.execute_cdp_cmd("Page.captureScreenshot", options)["data"]
    return Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB")


def side_by_side(pictures: list[Image.Image], gap: int = 40) -> Image.Image:
    """Join pictures in a row, each cut to the height of a phone."""
    height = round(844 * SCALE)
    width = sum(picture.width + gap for picture in pictures) - gap
    strip = Image.new("RGB", (width, height), pictures[0].getpixel((0, 0)))
    left = 0
    for picture in pictures:
        strip.paste(picture, (left, 0))
        left += picture.width + gap
    return strip


if __name__ == "__main__":
    main()
