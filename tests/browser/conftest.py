"""A headless Chromium, found on this machine or the tests are skipped."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

from tests.browser.page import Page
from tests.integration.conftest import helm, sandbox, shared_mirror  # noqa: F401

# Nothing leaves this machine: the switches end Chromium's own calls home.
SWITCHES = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-sync",
    "--no-first-run",
    "--force-device-scale-factor=1",
)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Callable[[str], Page]]:
    """Return a function that opens the UI at a URL in the one browser."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("no Chromium: apt-get install chromium chromium-driver")
    options = Options()
    options.binary_location = chromium
    for switch in (*SWITCHES, f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(switch)
    pictures = Path(os.environ.get("MLSTACKS_TEST_SCREENSHOTS") or tmp_path).absolute()
    pictures.mkdir(parents=True, exist_ok=True)
    chrome = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield lambda url: Page(chrome, url, pictures)
    finally:
        chrome.quit()
