# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""A real headless Chromium, driven over its own DevTools protocol through two pipes: no driver, no port that others could open.

``with Browser(path) as browser: browser.open(url); browser.type("#search", "td17"); browser.evaluate("document.title")``
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

from .._errors import BrowserError, BrowserStartError
from .._poll import CLOCK, Clock, poll

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",  # containers have 64 MB there, and the page's process would crash
    "--disable-extensions",
    "--disable-gpu",
    "--disable-sync",
    "--hide-scrollbars",
    "--mute-audio",
    "--password-store=basic",
)
_CHROMIUM_READS, _CHROMIUM_WRITES = 3, 4  # the descriptors that --remote-debugging-pipe means
_STARTS = 2


def find(names: tuple[str, ...] = NAMES) -> str | None:
    """Path of an installed Chromium or Chrome."""
    return next((path for path in map(shutil.which, names) if path), None)


class Browser:
    """One browser with one page. ``problems`` collects what the page complained about since it was opened.

    start_seconds: for which a start may take. A Chromium that hangs or dies at its start is started once more.
    """

    def __init__(
        self,
        program: str,
        *,
        width: int = 1280,
        height: int = 800,
        start_seconds: float = 20.0,
        clock: Clock = CLOCK,
    ) -> None:
        self.problems: list[str] = []
        self._program, self._size, self._start_seconds, self._clock = program, f"{width},{height}", start_seconds, clock

    def __enter__(self) -> Browser:
        problem: BrowserError | None = None
        for _ in range(_STARTS):
            try:
                self._start()
            except BrowserError as one:
                problem = one
            else:
                return self
        raise BrowserStartError(f"{self._program} was tried {_STARTS} times: {problem}") from problem

    def _start(self) -> None:
        self._number, self._rest, self._loaded, self._session = 0, b"", False, ""
        self.folder = _folder()
        root = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium refuses its sandbox to root
        options = [*FLAGS, *root, f"--user-data-dir={self.folder}/profile", f"--window-size={self._size}"]
        self._process = self._spawn([self._program, *options, "about:blank"])
        try:
            target = self._call("Target.createTarget", {"url": "about:blank"}, self._start_seconds)["targetId"]
            self._session = self._call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
            for domain in ("Page", "Runtime", "Log", "Network"):
                self._call(f"{domain}.enable")
        except BaseException:
            self.close()
            raise

    def _spawn(self, argv: list[str]) -> int:
        theirs_in, self._to = map(_high, os.pipe())
        self._from, theirs_out = map(_high, os.pipe())
        log = _high(os.open(f"{self.folder}/chromium.log", os.O_WRONLY | os.O_CREAT, 0o600))
        actions = [
            (os.POSIX_SPAWN_DUP2, theirs_in, _CHROMIUM_READS),
            (os.POSIX_SPAWN_DUP2, theirs_out, _CHROMIUM_WRITES),
            (os.POSIX_SPAWN_DUP2, log, 1),
            (os.POSIX_SPAWN_DUP2, log, 2),
        ]
        environment = {**os.environ, "HOME": str(self.folder), "TMPDIR": str(self.folder)}
        try:
            return os.posix_spawn(argv[0], argv, environment, file_actions=actions, setpgroup=0)
        except OSError as error:
            self._clear()
            raise BrowserError(f"it cannot be carried out: {error.strerror}") from error
        finally:
            for descriptor in (theirs_in, theirs_out, log):
                os.close(descriptor)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the browser and everything it started; its profile is removed."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process, signal.SIGKILL)
            os.waitpid(self._process, 0)
            # Its children end a moment later, and would still write into the profile. killpg raises once none is left.
            poll(lambda: os.killpg(self._process, 0), 2.0, every=0.05, clock=self._clock)
        self._clear()

    def _clear(self) -> None:
        for descriptor in (self._to, self._from):
            os.close(descriptor)
        shutil.rmtree(self.folder, ignore_errors=True)

    def open(self, url: str, timeout: float = 15.0) -> None:
        """Load a page and wait for its load event."""
        self.problems.clear()
        self._loaded = False
        deadline = self._clock.monotonic() + timeout
        error = self._call("Page.navigate", {"url": url}, timeout).get("errorText")
        if error:
            raise BrowserError(f"{url} does not load: {error}")
        while not self._loaded:
            self._receive(deadline, f"{url} to load")

    def evaluate(self, expression: str) -> Any:
        """A JavaScript expression's JSON value."""
        answer = self._call("Runtime.evaluate", {"expression": expression, "returnByValue": True, "awaitPromise": True})
        if "exceptionDetails" in answer:
            raise BrowserError(f"{expression[:80]}: {_exception(answer['exceptionDetails'])}")
        return answer["result"].get("value")

    def type(self, selector: str, text: str) -> None:
        """Put the cursor into a field and press one key after the other, as a person does."""
        if not self.evaluate(f"(field => field ? (field.focus(), true) : false)(document.querySelector({json.dumps(selector)}))"):
            raise BrowserError(f"the page has no {selector}")
        for letter in text:
            self._call("Input.dispatchKeyEvent", {"type": "keyDown", "text": letter, "key": letter})
            self._call("Input.dispatchKeyEvent", {"type": "keyUp", "key": letter})

    def wait_for(self, expression: str, timeout: float, *, every: float = 0.05) -> Any:
        """The expression's value as soon as it is truthy; its last value when the time is over."""
        return poll(lambda: self.evaluate(expression), timeout, every=every, clock=self._clock)

    def screenshot(self, path: Path) -> None:
        """A PNG of what is visible."""
        path.write_bytes(base64.b64decode(self._call("Page.captureScreenshot", {"format": "png"})["data"]))

    def command(self, method: str, **params: Any) -> Any:
        """Any DevTools command of the page."""
        return self._call(method, params)

    def _call(self, method: str, params: dict[str, Any] | None = None, timeout: float = 10.0) -> Any:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params or {}}
        if self._session:
            message["sessionId"] = self._session
        try:
            os.write(self._to, json.dumps(message).encode() + b"\0")
        except OSError as error:
            raise BrowserError(f"Chromium ended: {self._last_words()}") from error
        deadline = self._clock.monotonic() + timeout
        while True:
            answer = self._receive(deadline, method)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise BrowserError(f"{method}: {answer['error'].get('message')}")
                return answer["result"]

    def _receive(self, deadline: float, waiting_for: str) -> dict[str, Any]:
        """The next message; events are noted on the way."""
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._from], [], [], max(0.0, deadline - self._clock.monotonic()))
            if not ready:
                raise BrowserError(f"Chromium did not answer in time: waited for {waiting_for}; its log: {self._last_words()}")
            block = os.read(self._from, 1 << 20)
            if not block:
                raise BrowserError(f"Chromium ended: {self._last_words()}")
            self._rest += block
        line, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        self._loaded = self._loaded or message.get("method") == "Page.loadEventFired"
        problem = complaint(message)
        if problem and problem not in self.problems:
            self.problems.append(problem)
        return message

    def _last_words(self) -> str:
        log = (self.folder / "chromium.log").read_text(errors="replace").strip()
        return log.splitlines()[-1][:300] if log else "it said nothing"


def complaint(event: dict[str, Any]) -> str | None:
    """What a DevTools event says is wrong with the page: exception, console error, failed request, Content-Security-Policy."""
    params = event.get("params", {})
    match event.get("method"):
        case "Runtime.exceptionThrown":
            return f"exception: {_exception(params['exceptionDetails'])}"
        case "Runtime.consoleAPICalled" if params["type"] in ("error", "assert"):
            return "console: " + " ".join(str(arg.get("value", arg.get("description", ""))) for arg in params["args"])
        case "Log.entryAdded" if params["entry"]["level"] == "error":
            entry = params["entry"]
            return f"{entry['source']}: {entry['text']} {entry.get('url', '')}".strip()
        case "Network.loadingFailed" if not params.get("canceled"):
            return f"network: {params.get('blockedReason') or params['errorText']} ({params['type']})"
    return None


def _exception(details: dict[str, Any]) -> str:
    return str(details.get("exception", {}).get("description") or details.get("text", "")).partition("\n")[0]


def _folder() -> Path:
    """An empty folder of our own with a short name: Chromium makes sockets in it, and a socket's path has at most 107 bytes."""
    usual = tempfile.gettempdir()
    return Path(tempfile.mkdtemp(prefix="hsc-jit-", dir=usual if len(usual) <= 40 else "/tmp"))  # noqa: S108  TMPDIR is too long


def _high(descriptor: int) -> int:
    """The same file on a number above those that Chromium gives a meaning; inheritable only where it is asked for."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(descriptor)
    return moved
