import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from serving.app import create_app
from serving.cli import GRACE_SECONDS
from serving.keys.store import Scope
from serving.settings import ServingSettings
from tests.serving.deploy.files import DEPLOY, KUBERNETES, ROOT, SETTINGS, USER, documents, image_environment, stage

VERSIONS = ["1.30", kubernetes_validate.__version__.rpartition(".")[0]]
"""The oldest that the files are for, and the newest whose schemas there are."""
OF_OTHERS = {"Kustomization", "Component", "ServiceMonitor"}
"""Kinds that Kubernetes itself does not know."""
STOP_SECONDS = ServingSettings().drain_seconds + ServingSettings().max_wait_seconds + GRACE_SECONDS
"""How long a server takes at most to end in order; docs/serving.md, Stopping."""
COMPONENTS = ["champion", "ingress", "monitoring"]

STATEFULSET: dict[str, Any] = documents(KUBERNETES / "statefulset.yaml")[0]
POD: dict[str, Any] = STATEFULSET["spec"]["template"]["spec"]
SERVER: dict[str, Any] = POD["containers"][0]
PATCH = KUBERNETES / "champion" / "statefulset.yaml"
WHOLE = [path for path in KUBERNETES.rglob("*.yaml") if path != PATCH]


def check(document: dict[str, Any]) -> None:
    if document["kind"] not in OF_OTHERS:
        for version in VERSIONS:
            kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("path", WHOLE, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_manifest_fits_the_schemas_of_kubernetes(path: Path) -> None:
    for document in documents(path):
        check(document)


def test_a_manifest_with_a_field_of_no_such_name_would_be_found() -> None:
    with pytest.raises(kubernetes_validate.ValidationError):
        check({**STATEFULSET, "spec": {**STATEFULSET["spec"], "replica": 2}})


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl: what kustomize makes of the files is not checked")
def test_the_base_with_all_components_is_whole_and_valid(tmp_path: Path) -> None:
    shutil.copytree(KUBERNETES, tmp_path / "base")
    overlay = {"resources": ["base"], "components": [f"base/{name}" for name in COMPONENTS]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    made = subprocess.run(["kubectl", "kustomize", tmp_path], capture_output=True, text=True, check=True, timeout=60).stdout
    found = {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(made)}
    for document in found.values():
        check(document)
        assert document["kind"] == "Namespace" or document["metadata"]["namespace"] == "signaal"
    pod = found["StatefulSet", "signaal"]["spec"]["template"]["spec"]
    (prepare,), (server,) = pod["initContainers"], pod["containers"]
    for container in (prepare, server):
        check_restricted(container)
        assert {"name": "SIGNAAL_BUNDLE", "value": "auto"} in container["env"]
        assert {mount["name"] for mount in container["volumeMounts"]} <= {v["name"] for v in [*pod["volumes"], {"name": "data"}]}
    (cache,) = (mount["mountPath"] for mount in server["volumeMounts"] if mount["name"] == "cache")
    assert cache == image_environment()["SIGNAAL_CACHE_DIR"]


@pytest.mark.parametrize("folder", [KUBERNETES, *(KUBERNETES / name for name in COMPONENTS)], ids=lambda folder: folder.name)
def test_kustomize_takes_every_file_that_is_there(folder: Path) -> None:
    (kustomization,) = documents(folder / "kustomization.yaml")
    taken = {*kustomization["resources"], *(patch["path"] for patch in kustomization.get("patches", []))}
    there = {path.name for path in folder.glob("*.yaml")} - {"kustomization.yaml", "secret.example.yaml"}
    assert taken == there


def check_restricted(container: dict[str, Any]) -> None:
    """What the pod security standard "restricted" asks, and a file system that is read-only."""
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert set(container["resources"]["limits"]) == {"cpu", "memory"}


def test_the_server_is_shut_in() -> None:
    check_restricted(SERVER)
    context = POD["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["runAsUser"] == context["runAsGroup"] == context["fsGroup"] == USER
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert POD["automountServiceAccountToken"] is False
    labels = documents(KUBERNETES / "namespace.yaml")[0]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_ports_and_paths_agree_with_the_image_and_the_application() -> None:
    image = image_environment()
    assert SERVER["ports"] == [{"name": "http", "containerPort": int(image["SIGNAAL_SERVE_PORT"])}]
    app = create_app(None, ServingSettings())  # type: ignore[arg-type]  # never started
    addresses = {getattr(route, "path", "") for route in app.routes}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert SERVER[probe]["httpGet"]["port"] == "http"
        assert SERVER[probe]["httpGet"]["path"] in addresses
    # Not /readyz: a server whose batches fail for a while must be left alone, not started again.
    assert SERVER["livenessProbe"]["httpGet"]["path"] == "/healthz"
    (home,) = re.findall(r"^WORKDIR (.*)$", stage("machine"), re.MULTILINE)
    mounts = {mount["name"]: mount["mountPath"] for mount in SERVER["volumeMounts"]}
    assert mounts["data"] == home
    assert mounts["tmp"] == "/tmp"
    assert {"name": "SIGNAAL_SECRETS_DIR", "value": mounts["secrets"]} in SERVER["env"]
    ingress = documents(KUBERNETES / "ingress" / "ingress.yaml")[0]["spec"]["rules"][0]["http"]["paths"]
    for path in ingress:
        assert any(address.startswith(path["path"]) for address in addresses)


def test_the_secret_holds_settings_and_no_value() -> None:
    (secret,) = documents(KUBERNETES / "secret.example.yaml")
    assert set(secret["stringData"].values()) == {""}
    (volume,) = (volume["secret"] for volume in POD["volumes"] if volume["name"] == "secrets")
    assert volume["secretName"] == secret["metadata"]["name"]
    assert [item["key"] for item in volume["items"]] == [item["path"] for item in volume["items"]] == list(secret["stringData"])
    assert {key.upper() for key in secret["stringData"]} <= SETTINGS


def test_everything_selects_the_servers() -> None:
    labels = STATEFULSET["spec"]["template"]["metadata"]["labels"]
    of_one = {"apps.kubernetes.io/pod-index": "0"}  # Kubernetes itself adds it
    services = {one["metadata"]["name"]: one for one in documents(KUBERNETES / "services.yaml")}
    policies = documents(KUBERNETES / "networkpolicy.yaml")
    selectors = [
        STATEFULSET["spec"]["selector"]["matchLabels"],
        *(spread["labelSelector"]["matchLabels"] for spread in POD["topologySpreadConstraints"]),
        services["signaal"]["spec"]["selector"],
        services["signaal-servers"]["spec"]["selector"],
        documents(KUBERNETES / "disruption.yaml")[0]["spec"]["selector"]["matchLabels"],
        policies[0]["spec"]["podSelector"]["matchLabels"],
        documents(KUBERNETES / "champion" / "networkpolicy.yaml")[0]["spec"]["podSelector"]["matchLabels"],
    ]
    assert all(selector == labels for selector in selectors)
    assert services["signaal-feedback"]["spec"]["selector"] == labels | of_one
    assert STATEFULSET["spec"]["serviceName"] in services
    target = documents(KUBERNETES / "autoscaler.yaml")[0]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == (STATEFULSET["kind"], STATEFULSET["metadata"]["name"])
    assert "replicas" not in STATEFULSET["spec"]  # or each apply would undo what the autoscaler did
    wanted = documents(KUBERNETES / "monitoring" / "servicemonitor.yaml")[0]["spec"]["selector"]["matchLabels"]
    assert [name for name, one in services.items() if wanted.items() <= one["metadata"]["labels"].items()] == ["signaal-servers"]


def test_prometheus_asks_with_a_key_from_a_secret_of_its_own() -> None:
    (endpoint,) = documents(KUBERNETES / "monitoring" / "servicemonitor.yaml")[0]["spec"]["endpoints"]
    secret = endpoint["authorization"]["credentials"]
    assert set(secret) == {"name", "key"}
    assert secret["name"] != documents(KUBERNETES / "secret.example.yaml")[0]["metadata"]["name"]
    made = f"keys create prometheus --scope {Scope.METRICS} | tr -d '\\n' | kubectl -n signaal create secret generic"
    steps = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    assert f"{made} {secret['name']} --from-file={secret['key']}=/dev/stdin\n" in steps


def test_a_server_has_the_time_that_it_takes_to_stop() -> None:
    enough = SERVER["lifecycle"]["preStop"]["sleep"]["seconds"] + STOP_SECONDS
    assert POD["terminationGracePeriodSeconds"] >= enough
    compose = documents(DEPLOY / "compose.yaml")[0]["services"]["signaal"]["stop_grace_period"]
    assert int(compose.removesuffix("s")) >= STOP_SECONDS
    (unit,) = re.findall(r"^TimeoutStopSec=(\d+)$", (DEPLOY / "signaal.service").read_text(), re.MULTILINE)
    assert int(unit) >= STOP_SECONDS


def test_the_scorer_has_as_many_threads_as_cores() -> None:
    assert {"name": "SIGNAAL_THREADS", "value": SERVER["resources"]["limits"]["cpu"]} in SERVER["env"]
