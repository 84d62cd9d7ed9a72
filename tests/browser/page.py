"""What a reader of Dagster's pages does: look, wait, click, type."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.remote.webelement import WebElement

__all__ = ["Page"]

PATIENCE_SECONDS = 300.0

NODES = """return Object.fromEntries([...document.querySelectorAll('[data-tooltip]')]
  .filter(e => e.closest('foreignObject'))
  .map(e => [e.dataset.tooltip, e.closest('foreignObject').textContent]))"""
EDGES = "return document.querySelectorAll('path[marker-end]').length"
EDITOR = "[...document.querySelectorAll('.CodeMirror')].at(-1).CodeMirror"
POST = """const [body, done] = arguments;
fetch('/graphql', {method: 'POST', headers: {'content-type': 'application/json'}, body})
  .then(answer => answer.json()).then(done, error => done({errors: String(error)}))"""


class Page:
    """The browser's one page, on the UI at ``url``."""

    def __init__(self, chrome: WebDriver, url: str, pictures: Path) -> None:
        self._chrome = chrome
        self._url = url
        self._pictures = pictures

    def open(self, path: str, text: str) -> None:
        """Go to ``path`` and wait until ``text`` is shown."""
        self._chrome.get(self._url + path)
        self.see(text)

    def leave(self) -> None:
        """Go to an empty page: those of the UI keep asking its server."""
        self._chrome.get("about:blank")

    def size(self, width: int, height: int) -> None:
        """Give the window a size in CSS pixels, its frame included."""
        self._chrome.set_window_size(width, height)

    def remember(self, **settings: Any) -> None:
        """Set what the UI keeps of a user's choices; it takes effect with the next page."""
        for name, value in settings.items():
            key = name.replace("_", "-")
            self._chrome.execute_script(
                "localStorage.setItem(arguments[0], arguments[1])", key, json.dumps(value)
            )

    @property
    def text(self) -> str:
        """All text on the page."""
        return str(self._chrome.find_element("tag name", "body").text)

    @property
    def path(self) -> str:
        """The page's address after the host."""
        return self._chrome.current_url.removeprefix(self._url)

    def see(self, *texts: str) -> None:
        """Wait until the page shows all of ``texts``."""
        self.until(lambda: all(text in self.text for text in texts), f"{texts}")

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for a condition; the page may change while it is asked."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self._holds(condition):
            if time.monotonic() > deadline:
                self.picture("failure")
                raise AssertionError(f"waited in vain for {what} on {self.path}:\n{self.text}")
            time.sleep(0.2)

    def _holds(self, condition: Callable[[], bool]) -> bool:
        try:
            return condition()
        except WebDriverException:
            return False

    def disabled(self, text: str) -> bool:
        """Tell whether there is a button with that text which can't be pressed."""
        return [b.is_enabled() for b in self._buttons(text)] == [False]

    def _buttons(self, text: str) -> list[WebElement]:
        found = self._chrome.find_elements("xpath", f"//button[.//text()='{text}']")
        return [button for button in found if button.is_displayed()]

    def click(self, text: str) -> None:
        """Press the button with that text, once it can be pressed."""

        def pressed() -> bool:
            enabled = [button for button in self._buttons(text) if button.is_enabled()]
            if enabled:
                enabled[-1].click()
            return bool(enabled)

        self.until(pressed, f"the button {text}")

    def nodes(self) -> dict[str, str]:
        """Return the text of each node of the graph, by the asset's name."""
        found = self._chrome.execute_script(NODES)
        return {str(name): str(text) for name, text in found.items()}

    def edges(self) -> int:
        """Return how many edges the graph shows."""
        return int(self._chrome.execute_script(EDGES))

    def editor(self) -> str:
        """Return what the launchpad's editor holds; empty while there is none."""
        found = self._chrome.execute_script(
            f"return document.querySelector('.CodeMirror') ? {EDITOR}.getValue() : ''"
        )
        return str(found)

    def write(self, text: str) -> None:
        """Replace what the launchpad's editor holds."""
        self._chrome.execute_script(f"{EDITOR}.setValue(arguments[0])", text)

    def ask(self, query: str, **variables: Any) -> Any:
        """Send a GraphQL query from the page itself, as the UI's own code does."""
        body = json.dumps({"query": query, "variables": variables})
        answer = self._chrome.execute_async_script(POST, body)
        assert "errors" not in answer, answer
        return answer["data"]

    def picture(self, name: str) -> Path:
        """Save what the window shows."""
        path = self._pictures / f"{name}.png"
        self._chrome.save_screenshot(str(path))
        return path
