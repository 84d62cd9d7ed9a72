"""``kube-token``: the credential plugin of our kubeconfigs, for people who want to see a token."""

from __future__ import annotations

import sys

import click

__all__ = ["command"]


@click.command("kube-token", hidden=True)
@click.option("--kind", required=True, type=click.Choice(["eks", "gke"]))
@click.option("--cluster", required=True, help="Name of the cluster.")
@click.option("--region", default="", help="Region of the cluster.")
def command(kind: str, cluster: str, region: str) -> None:
    """Print a token for a cluster's API, as Kubernetes clients expect it."""
    from mlstacks_dagster.engines.kube_token import main

    sys.exit(main(["--kind", kind, "--cluster", cluster, "--region", region]))
