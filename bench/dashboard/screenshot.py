"""A page in a real headless Chromium, as a picture."""

from __future__ import annotations

import io
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

__all__ = ["browser", "picture", "set_dark", "small"]


@contextmanager
def browser(width: int = 1280, height: int = 900) -> Iterator[webdriver.Chrome]:
    """A Chromium without a window, with a fresh profile, whose console is kept. Raises FileNotFoundError."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        raise FileNotFoundError(
            "chromium and chromedriver are needed: apt-get install chromium chromium-driver"
        )
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with tempfile.TemporaryDirectory() as profile:
        for argument in (
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            f"--user-data-dir={profile}",
            f"--window-size={width},{height}",
        ):
            options.add_argument(argument)
        opened = webdriver.Chrome(options, webdriver.ChromeService(driver))
        try:
            yield opened
        finally:
            opened.quit()


def set_dark(page: webdriver.Chrome, dark: bool) -> None:
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})


def picture(
    address: str, seconds: float, *, width: int, height: int, dark: bool = False, opened: bool = False
) -> bytes:
    """PNG of the page after so many seconds."""
    with browser(width, height) as page:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        set_dark(page, dark)
        page.get(address)
        time.sleep(seconds)  # of load to be seen
        if opened:
            page.find_element(By.CSS_SELECTOR, "#filter option[value=explained]").click()
            WebDriverWait(page, 10).until(lambda p: p.find_elements(By.CLASS_NAME, "opens"))[0].click()
            page.find_element(By.ID, "pause").click()
        return page.get_screenshot_as_png()


def small(png: bytes) -> bytes:
    """The same in a palette of 256 colours: a third of the bytes."""
    out = io.BytesIO()
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    palette = picture.quantize(
        256, kmeans=2, dither=Image.Dither.NONE
    )  # without the means rare hues turn grey
    palette.save(out, "PNG", optimize=True)
    return out.getvalue()
