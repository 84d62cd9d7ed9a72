"""Helm's command lines: pinned to a cluster, without values, and what each Helm knows."""

from pathlib import Path

import pytest

from mlstacks_dagster.engines.helm_argv import ChartSource, HelmTarget, version_argv


def target(major: int = 4) -> HelmTarget:
    return HelmTarget("/bin/helm", major, "web", "demo", Path("/k/config"), "ours")


LABELS = {"mlstacks-stack": "sabc", "mlstacks-component": "web"}
CLUSTER = ("--namespace=demo", "--kubeconfig=/k/config", "--kube-context=ours")


def test_an_upgrade_installs_resets_the_values_and_reads_them_from_standard_input():
    argv = target().upgrade_argv(Path("/c"), labels=LABELS, timeout_seconds=60, history_max=5)
    assert argv[:4] == ("/bin/helm", "upgrade", "web", "/c")
    for flag in (
        "--install",
        "--reset-values",
        "--labels=mlstacks-component=web,mlstacks-stack=sabc",
        "--values=-",
        "--wait",
        "--wait-for-jobs",
        "--timeout=60s",
        "--history-max=5",
        "--server-side=true",
        "--force-conflicts",
        "--hide-notes",
    ):
        assert flag in argv


@pytest.mark.parametrize("major", [3, 4])
def test_every_call_to_a_cluster_names_kubeconfig_context_and_namespace(major):
    helm = target(major)
    for argv in (
        helm.upgrade_argv(Path("/c"), labels=LABELS, timeout_seconds=1, history_max=1),
        helm.rollback_argv(3, timeout_seconds=1, history_max=1),
        helm.uninstall_argv(timeout_seconds=1),
        helm.history_argv(),
        helm.get_argv("{{.}}"),
    ):
        assert argv[-3:] == CLUSTER


def test_helm_3_gets_no_flag_that_it_does_not_know():
    for argv in (
        target(3).upgrade_argv(Path("/c"), labels=LABELS, timeout_seconds=1, history_max=1),
        target(3).rollback_argv(3, timeout_seconds=1, history_max=1),
    ):
        assert not {"--server-side=true", "--force-conflicts"} & set(argv)


def test_a_rollback_always_names_its_revision_and_waits_unless_told():
    argv = target().rollback_argv(3, timeout_seconds=60, history_max=5)
    assert argv[:4] == ("/bin/helm", "rollback", "web", "3")
    assert "--wait" in argv
    quick = target().rollback_argv(3, timeout_seconds=60, history_max=5, wait=False)
    assert not {"--wait", "--wait-for-jobs"} & set(quick)


def test_an_uninstall_waits_for_the_objects_and_takes_no_release_for_done():
    argv = target().uninstall_argv(timeout_seconds=60)
    assert {"--ignore-not-found", "--cascade=foreground", "--wait", "--timeout=60s"} <= set(argv)


def test_a_template_asks_no_cluster():
    argv = target().template_argv(Path("/c"), kube_version="v1.34.0")
    assert argv[:4] == ("/bin/helm", "template", "web", "/c")
    assert "--kube-version=v1.34.0" in argv
    assert not any("kubeconfig" in part for part in argv)
    assert not any("kube-version" in part for part in target().template_argv(Path("/c")))


def test_a_record_is_read_of_one_revision_or_the_newest():
    assert "--revision=4" in target().get_argv("{{.}}", 4)
    assert not any("revision" in part for part in target().get_argv("{{.}}"))
    assert "--output=json" in target().history_argv()
    assert target().show_crds_argv(Path("/c")) == ("/bin/helm", "show", "crds", "/c")
    assert version_argv("helm") == ("helm", "version", "--template", "{{.Version}}")


def test_charts_are_pulled_from_registries_and_from_repositories(tmp_path):
    flags = ("--version", "1.2.3", "--destination", str(tmp_path))
    oci = ChartSource("oci://registry.example.org/charts/web", "1.2.3")
    assert oci.pull_argv("helm", tmp_path) == ("helm", "pull", oci.reference, *flags)
    http = ChartSource("https://charts.example.org/stable/web", "1.2.3")
    repo = ("--repo", "https://charts.example.org/stable")
    assert http.pull_argv("helm", tmp_path) == ("helm", "pull", "web", *repo, *flags)
