"""Programs that make definitions and objects of their own in the emulated cluster."""

from __future__ import annotations

from tests.unit.sandbox.kube.api import (
    CORE,
    CRDS,
    Api,
    crd,
)
from tests.unit.sandbox.kube.clouds import (
    SYSTEM_APPS,
    deploy_program,
)


class TestOperators:
    CERTIFICATES = "/apis/cert-manager.io/v1/namespaces/default/certificates"
    ISSUERS = "/apis/cert-manager.io/v1/clusterissuers"
    TEKTON = "/apis/operator.tekton.dev/v1alpha1/tektonconfigs"

    def test_a_certificate_becomes_a_secret_once_cert_manager_is_there(self, api: Api) -> None:
        api.post(CRDS, crd("certificates", "Certificate", group="cert-manager.io"))
        obj = {"metadata": {"name": "c"}, "spec": {"secretName": "tls"}}
        api.post(self.CERTIFICATES, obj)
        api.settle()
        assert "tls" not in api.names(f"{CORE}/secrets")
        deploy_program(api, "cert-manager")
        secret = api.get(f"{CORE}/secrets/tls")
        assert set(secret["data"]) == {"tls.crt", "tls.key", "ca.crt"}
        conditions = api.get(f"{self.CERTIFICATES}/c")["status"]["conditions"]
        assert conditions[0]["status"] == "True"

    def test_an_issuer_becomes_ready(self, api: Api) -> None:
        issuers = crd("clusterissuers", "ClusterIssuer", group="cert-manager.io", namespaced=False)
        api.post(CRDS, issuers)
        api.post(self.ISSUERS, {"metadata": {"name": "i"}, "spec": {}})
        deploy_program(api, "cert-manager")
        assert api.get(f"{self.ISSUERS}/i")["status"]["conditions"][0]["type"] == "Ready"

    def test_a_tekton_config_waits_for_its_operator_to_go(self, api: Api) -> None:
        made = crd("tektonconfigs", "TektonConfig", group="operator.tekton.dev", namespaced=False)
        made["spec"]["versions"][0]["name"] = "v1alpha1"
        api.post(CRDS, made)
        deploy_program(api, "tekton-operator")
        api.post(self.TEKTON, {"metadata": {"name": "config"}, "spec": {}})
        api.settle()
        config = api.get(f"{self.TEKTON}/config")
        assert config["metadata"]["finalizers"] == ["tektonconfigs.operator.tekton.dev"]
        assert config["status"]["conditions"][0]["status"] == "True"
        api.delete(f"{SYSTEM_APPS}/tekton-operator")
        api.settle()
        api.delete(f"{self.TEKTON}/config")
        api.settle()
        assert api.names(self.TEKTON) == ["config"]
        deploy_program(api, "tekton-operator")
        assert api.names(self.TEKTON) == []
