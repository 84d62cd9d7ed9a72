"""The double as a program: serves on the Unix socket that its argument names, until it is ended.

It prints the line by which a Terraform plugin says where it listens.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import grpc

from tests.schema_provider.schema import load_schema
from tests.schema_provider.service import SchemaProvider, handler


def main(socket: str) -> None:
    server = grpc.server(ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers([handler(SchemaProvider(load_schema()))])
    server.add_insecure_port(f"unix:{socket}")
    server.start()
    print(f"1|5|unix|{socket}|grpc", flush=True)
    sys.stdin.read()  # its end is the end of whoever started us
    server.stop(grace=None)


main(sys.argv[1])
