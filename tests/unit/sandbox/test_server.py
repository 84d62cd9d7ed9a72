"""The server's process never talks to anything but this machine."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import socket, sys
from mlstacks_dagster.sandbox.server import _stay_local
sys.addaudithook(_stay_local)
listener = socket.create_server(("127.0.0.1", 0))
socket.create_connection(listener.getsockname(), timeout=5).close()
try:
    {call}
except ConnectionRefusedError as error:
    print(error)
"""


@pytest.mark.parametrize(
    "call",
    [
        "socket.create_connection(('192.0.2.1', 80), timeout=5)",
        "socket.socket(socket.AF_INET).connect(('192.0.2.1', 80))",
        "socket.socket(socket.AF_INET).connect_ex(('192.0.2.1', 80))",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('192.0.2.1', 53))",
        "socket.getaddrinfo('sts.amazonaws.com', 443)",
        "__import__('urllib.request').request.urlopen('http://169.254.169.254/latest')",
    ],
)
def test_a_connection_that_leaves_the_machine_is_refused(call: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(call=call)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "the sandbox doesn't talk to" in done.stdout + done.stderr
