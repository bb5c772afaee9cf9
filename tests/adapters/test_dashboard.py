"""The dashboard in a real browser without a window: it loads, follows the engine, and says when it cannot."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

import tailwise as tw
from bench.dashboard.screenshot import browser, set_dark
from tailwise.adapters.admin import serve_admin
from tailwise.adapters.journal import Journal
from tests.adapters.served import Served
from tests.debian import program


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    for name in ("chromium", "chromedriver"):
        program(name, "chromium", "chromium-driver")
    with browser() as page:
        yield page


@pytest.fixture
def served() -> Served:
    world = Served()
    world.serve(30)
    return world


@pytest.fixture
def page(chromium: Any, served: Served) -> Iterator[Any]:
    chromium.get_log("browser")  # what an earlier test left
    with serve_admin(served.engine, served.journal, port=0) as address:
        chromium.get(address)
        until(chromium, lambda: text(chromium, "#status") == "live")
        yield chromium
        said = chromium.get_log("browser")
        chromium.get("about:blank")
    assert said == []


def until(page: Any, happened: Any) -> None:
    WebDriverWait(page, 30, 0.1).until(lambda _: happened())


def text(page: Any, selector: str) -> str:
    return str(
        page.execute_script("return document.querySelector(arguments[0])?.textContent ?? ''", selector)
    )


def test_it_shows_classes_resources_curves_and_decisions(page: Any) -> None:
    until(page, lambda: "fast, median" in text(page, "#curves"))
    cards = [card.text for card in page.find_elements(By.CLASS_NAME, "card")]
    assert [card.splitlines()[0].split()[0] for card in cards] == ["urgent", "chat"]
    assert "within 500 ms" in cards[0]
    assert "100.0%" in cards[0]
    rows = [row.text for row in page.find_elements(By.CSS_SELECTOR, "#resources tbody tr")]
    assert [row.split()[0] for row in rows] == ["fast", "slow"]
    assert (
        len(page.find_elements(By.CSS_SELECTOR, "#curves path.line")) == 4
    )  # median and 90% of two resources
    until(page, lambda: len(page.find_elements(By.CSS_SELECTOR, "#decisions .opens")) == 24)
    assert text(page, "#skipped") == "6 came too fast to be shown"
    assert "No job was refused" in text(page, "#refusals")


def test_numbers_follow_the_engine_as_jobs_come(page: Any, served: Served) -> None:
    assert "30 (" in text(page, "#cards")
    served.serve(12)
    until(page, lambda: "42 (" in text(page, "#cards"))
    held = served.send(request_id="the-last")
    until(page, lambda: "the-last" in text(page, "#decisions tbody tr"))
    assert "open" in text(page, "#decisions tbody tr")
    served.clock.advance(0.02)
    held.complete()
    until(page, lambda: "on time" in text(page, "#decisions tbody tr"))


def test_it_tells_refusals_trouble_and_the_mode(page: Any, served: Served) -> None:
    for _ in range(3):
        served.urgent.observe("slow", (100.0,)).fail()
    served.engine.drain("fast")
    served.engine.drain("slow")
    assert served.send().reason == "no_resource"
    served.engine.mode("frozen")
    until(page, lambda: "no_resource" in text(page, "#refusals"))
    until(page, lambda: text(page, "#mode") == "frozen")
    states = text(page, "#resources")
    assert "drained" in states
    assert "ejected" in states
    until(page, lambda: "its breaker is open" in text(page, "#findings"))


def test_a_decision_opens_by_keyboard_and_shows_what_was_compared(page: Any, served: Served) -> None:
    served.clock.advance(1.0)  # explained again
    served.send().cancel()
    page.find_element(By.CSS_SELECTOR, "#filter option[value=explained]").click()
    until(page, lambda: page.find_elements(By.CSS_SELECTOR, "#decisions .opens"))
    toggle = page.find_element(By.CSS_SELECTOR, "#decisions .opens")
    toggle.send_keys(Keys.ENTER)
    until(page, lambda: "propensity" in text(page, "#decisions tr.opened"))
    assert {"fast", "slow"} <= set(text_of_heads(page))
    served.serve(3)  # it stays open, and the focus stays where it was
    until(page, lambda: "34 (" in text(page, "#cards"))
    assert page.switch_to.active_element.get_attribute("aria-expanded") == "true"
    page.switch_to.active_element.send_keys(Keys.ENTER)
    until(page, lambda: not page.find_elements(By.CSS_SELECTOR, "#decisions tr.opened"))


def text_of_heads(page: Any) -> list[str]:
    return [head.text for head in page.find_elements(By.CSS_SELECTOR, "#decisions tr.opened th[scope=row]")]


def test_paused_decisions_stay_until_it_goes_on(page: Any, served: Served) -> None:
    until(page, lambda: page.find_elements(By.CSS_SELECTOR, "#decisions .opens"))
    button = page.find_element(By.ID, "pause")
    button.send_keys(Keys.ENTER)  # not the mouse: what stands above it may just grow, and it would miss
    until(page, lambda: button.get_attribute("aria-pressed") == "true")
    before = text(page, "#decisions")
    served.serve(5)
    until(page, lambda: "35 (" in text(page, "#cards"))
    assert text(page, "#decisions") == before
    button.send_keys(Keys.ENTER)
    until(page, lambda: text(page, "#decisions") != before)


def test_it_follows_the_scheme_and_fits_a_telephone(page: Any) -> None:
    colours = []
    for dark in (False, True):
        set_dark(page, dark)
        colours.append(page.execute_script("return getComputedStyle(document.body).backgroundColor"))
    set_dark(page, False)
    assert colours == ["rgb(246, 247, 249)", "rgb(15, 20, 25)"]
    try:
        metrics = {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": True}
        page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        assert page.execute_script("return document.documentElement.scrollWidth") == 400
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_it_says_that_it_is_stale_and_comes_back_by_itself(chromium: Any, served: Served) -> None:
    with serve_admin(served.engine, served.journal, port=0) as address:
        port = int(address.rpartition(":")[2])
        chromium.get(address)
        until(chromium, lambda: text(chromium, "#status") == "live")
    until(chromium, lambda: text(chromium, "#status").startswith("stale"))
    assert "stale-page" in chromium.execute_script("return document.body.className")
    served.serve(5)
    with serve_admin(served.engine, served.journal, port=port):
        until(chromium, lambda: text(chromium, "#status") == "live")
        until(chromium, lambda: "35 (" in text(chromium, "#cards"))
        chromium.get("about:blank")
    chromium.get_log("browser")


def test_names_are_texts_whatever_they_hold(chromium: Any) -> None:
    name = "<img src=x onerror=\"document.title='broken'\">"
    engine = tw.Engine([tw.Resource(name)], [tw.Model(name)], [tw.QoS(name, 1.0)], seed=1)
    journal = Journal(engine)
    journal.select(engine.route(name, name), (), request_id=name).complete()
    with serve_admin(engine, journal, port=0) as address:
        chromium.get(address)
        until(chromium, lambda: text(chromium, "#decisions").count(name) >= 3)
        assert name in text(chromium, "#cards")
        assert chromium.title == "tailwise"
        assert not chromium.find_elements(By.TAG_NAME, "img")
        chromium.get("about:blank")


def test_an_engine_without_a_journal_shows_what_it_believes(chromium: Any, served: Served) -> None:
    with serve_admin(served.engine, port=0) as address:
        chromium.get(address)
        until(chromium, lambda: "fast, median" in text(chromium, "#curves"))
        assert "claimed / observed" in text(chromium, "#cards")
        assert chromium.get_log("browser") == []
        chromium.get("about:blank")
