"""The report in a real browser: the slider moves, charts tell values, no errors, light and dark."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.made_up_run import columns, make
from wgan_jax import report

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or ""
DRIVER = shutil.which("chromedriver") or ""
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver"),
]
LEFT = "\ue012"  # the arrow key, as WebDriver writes it


class Browser:
    """A headless Chromium by chromedriver's WebDriver protocol, with the standard library."""

    def __init__(self, profile: Path) -> None:
        self.driver = subprocess.Popen(
            [DRIVER, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self.driver.stdout
        line = next(line for line in self.driver.stdout if "successfully on port" in line)
        self.url = f"http://127.0.0.1:{line.split('port ')[1].strip().rstrip('.')}/session"
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        flags += [f"--user-data-dir={profile}", "--window-size=1200,1000"]
        options = {"binary": CHROMIUM, "args": flags}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        found = self.call("", capabilities={"alwaysMatch": wanted})
        self.url += f"/{found['sessionId']}"

    def call(self, path: str, method: str = "POST", **body: Any) -> Any:
        data = json.dumps(body).encode() if method == "POST" else None
        request = urllib.request.Request(self.url + path, data, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def run(self, script: str) -> Any:
        return self.call("/execute/sync", script=f"return {script}", args=[])

    def find(self, selector: str) -> str:
        found = self.call("/element", using="css selector", value=selector)
        return str(next(iter(found.values())))

    def scheme(self, name: str) -> None:
        feature = {"name": "prefers-color-scheme", "value": name}
        parameters = {"features": [feature]}
        self.call("/goog/cdp/execute", cmd="Emulation.setEmulatedMedia", params=parameters)

    def errors(self) -> list[str]:
        return [entry["message"] for entry in self.call("/se/log", type="browser")]

    def close(self) -> None:
        self.call("", method="DELETE")
        self.driver.terminate()
        self.driver.wait(20)
        assert self.driver.stdout
        self.driver.stdout.close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = make(tmp_path_factory.mktemp("runs") / "digits_wgan", 400, grids=6)
    report.report(folder)
    return (folder / "report.html").as_uri()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_slider_shows_earlier_samples_without_console_errors(
    browser: Browser, page: str, scheme: str
) -> None:
    browser.scheme(scheme)
    browser.call("/url", url=page)
    picture = "document.getElementById('grid').src"
    words = "document.getElementById('epoch').textContent"
    last = browser.run(picture)
    assert browser.run(words) == "after 400 epochs"

    slider = browser.find("#slider")
    for _ in range(2):
        browser.call(f"/element/{slider}/value", text=LEFT)
    assert browser.run(words) == "after 266 epochs"
    assert browser.run(picture) != last
    assert browser.run("document.getElementById('grid').naturalWidth") > 500
    assert browser.errors() == []


def test_real_images_take_the_place_of_samples_and_give_it_back(
    browser: Browser, page: str
) -> None:
    browser.call("/url", url=page)
    picture = "document.getElementById('grid').src"
    words = "document.getElementById('epoch').textContent"
    pressed = "document.getElementById('real').getAttribute('aria-pressed')"
    samples = browser.run(picture)
    for back in ("#real", "#play"):
        browser.call(f"/element/{browser.find('#real')}/click")
        assert (browser.run(words), browser.run(pressed)) == ("real images", "true")
        assert browser.run(picture) == browser.run(
            "JSON.parse(document.getElementById('data').textContent).reals"
        )
        browser.call(f"/element/{browser.find(back)}/click")
        assert browser.run(pressed) == "false"
        assert browser.run(picture).startswith("data:image/png;base64,")
        assert (browser.run(picture) == samples) is (back == "#real")
    assert browser.errors() == []


def test_playing_ends_at_the_last_grid(browser: Browser, page: str) -> None:
    browser.call("/url", url=page)
    browser.call(f"/element/{browser.find('#play')}/click")
    assert browser.run("document.getElementById('epoch').textContent") == "after 66 epochs"
    value = "document.getElementById('slider').value"
    wait = f"var done = arguments[0]; setTimeout(() => done({value}), 2500)"
    assert browser.call("/execute/async", script=wait, args=[]) == "5"
    assert browser.run("document.getElementById('play').textContent") == "▶"


def test_pointing_at_a_chart_reads_that_epoch_in_all_charts(browser: Browser, page: str) -> None:
    browser.call("/url", url=page)
    generator, critic = 'svg[aria-label="Generator loss"]', 'svg[aria-label="Critic loss"]'
    browser.run(f"document.querySelector('{generator}').scrollIntoView()")
    element = {"element-6066-11e4-a52e-4f735466cecf": browser.find(generator)}
    move = {"type": "pointerMove", "origin": element, "x": 0, "y": 0}
    browser.call("/actions", actions=[{"type": "pointer", "id": "mouse", "actions": [move]}])
    own, other = (
        browser.run(f"document.querySelector('{chart}').previousSibling.textContent")
        for chart in (generator, critic)
    )
    value, epoch = own.replace("−", "-").split("at ")
    assert 150 < int(epoch) < 220  # the middle of the picture, whose axis is at its left
    assert float(value) == pytest.approx(columns(400)["g_loss"][int(epoch)], rel=1e-3)
    assert other.endswith(f"at {epoch}")
    assert browser.errors() == []


def test_the_marks_of_shares_differ_where_the_shares_do(browser: Browser, page: str) -> None:
    browser.call("/url", url=page)
    marks = browser.run("[0, .005, .01, .0125, .3, 1].map(v => mark(v, {percent: true}))")
    assert marks == ["0%", "0.5%", "1%", "1.25%", "30%", "100%"]


def test_light_and_dark_differ_and_text_stands_out_in_both(browser: Browser, page: str) -> None:
    shades = {}
    for scheme in ("light", "dark"):
        browser.scheme(scheme)
        browser.call("/url", url=page)
        style = "getComputedStyle(document.body)"
        ink, paper = (browser.run(f"{style}.{name}") for name in ("color", "backgroundColor"))
        shades[scheme] = [luminance(colour) for colour in (ink, paper)]
    assert shades["light"][0] < 0.05 < 0.9 < shades["light"][1]
    assert shades["dark"][1] < 0.05 < 0.7 < shades["dark"][0]


def luminance(colour: str) -> float:
    """Relative luminance of `rgb(r, g, b)`, 0 to 1 (WCAG 2)."""
    parts = [int(part) / 255 for part in colour.strip("rgb()").split(",")]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_a_narrow_screen_does_not_scroll_sideways(browser: Browser, page: str) -> None:
    size = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.call("/goog/cdp/execute", cmd="Emulation.setDeviceMetricsOverride", params=size)
    browser.call("/url", url=page)
    assert browser.run("document.documentElement.scrollWidth") <= 390
    browser.call("/goog/cdp/execute", cmd="Emulation.clearDeviceMetricsOverride", params={})
