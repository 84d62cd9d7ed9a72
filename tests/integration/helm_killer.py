"""What kills a Helm that the engine started, at a chosen moment."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from mlstacks_dagster.engines.process_record import is_alive, read_record


@dataclass
class Killer:
    """Sends ``number`` to the Helm that does ``verb``, ``wait`` seconds after it appeared.

    With ``number`` 0 it only measures how long that Helm lives: ``lived``, in seconds.
    """

    record: Path
    verb: str
    number: int = 0
    wait: float = 0.0
    hit: bool = False
    lived: float = 0.0
    over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Killer:
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._thread.join()

    def _run(self) -> None:
        verb = "helm upgrade" if self.verb == "install" else f"helm {self.verb}"
        while not self.over.is_set():
            record = read_record(self.record)
            if record is not None and record.pid and record.verb == verb:
                with suppress(psutil.NoSuchProcess):
                    self._found(psutil.Process(record.pid))
                return
            self.over.wait(0.002)

    def _found(self, process: psutil.Process) -> None:
        started = time.monotonic()
        if self.number:
            time.sleep(self.wait)
            if is_alive(process):
                process.send_signal(self.number)
                self.hit = True
        while is_alive(process) and not self.over.is_set():
            time.sleep(0.002)
        self.lived = time.monotonic() - started
