"""docker/k8s and compose.cluster.yml without an engine: their parts fit together, and the
configurations in them load."""
import shutil

import pytest

from harness.servers import ROOT, run_binary

yaml = pytest.importorskip("yaml", reason="needs python3-yaml")
DOCKER = ROOT / "docker"


def documents(name):
    return list(yaml.safe_load_all((DOCKER / "k8s" / name).read_text()))


def of_kind(found, kind):
    return next(document for document in found if document["kind"] == kind)


def loads(folder, certs, text):
    """respgate -t on it, with the paths of a container where this machine has others."""
    for name, path in {"ca.crt": certs.ca, "client.crt": certs.client[0],
                       "client.key": certs.client[1]}.items():
        shutil.copy(path, folder / name)
    (folder / "password").write_text("secret\n")
    (folder / "rules.conf").write_text("[rule a]\ncommands = flushall\naction = deny\n")
    for path in folder.iterdir():
        path.chmod(0o600)
    file = folder / "respgate.conf"
    file.write_text(text.replace("/tls/respgate/", f"{folder}/").replace("/tls/", f"{folder}/"))
    file.chmod(0o600)
    code, out, err = run_binary("-t", "-c", file)
    assert (code, out) == (0, "ok\n"), err
    assert "mode = cluster" in text and "tls-server-name" in text


@pytest.mark.parametrize("name", ["respgate.yaml", "sidecar.yaml"])
def test_manifests_fit_together(name, tmp_path, certs):
    found = documents(name)
    deployment = of_kind(found, "Deployment")["spec"]
    pod = deployment["template"]
    assert deployment["selector"]["matchLabels"] == pod["metadata"]["labels"]
    container = next(c for c in pod["spec"]["containers"] if c["name"] == "respgate")
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
    config = of_kind(found, "ConfigMap")
    text = config["data"]["respgate.conf"]
    assert f"http = 0.0.0.0:{ports['http']}" in text
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    assert volumes["config"]["configMap"]["name"] == config["metadata"]["name"]
    assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes)
    loads(tmp_path, certs, text)


def test_two_replicas_of_which_one_always_serves():
    found = documents("respgate.yaml")
    deployment, budget = of_kind(found, "Deployment"), of_kind(found, "PodDisruptionBudget")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["replicas"] >= 2 > budget["spec"]["minAvailable"] > 0
    assert budget["spec"]["selector"]["matchLabels"] == labels
    service = of_kind(found, "Service")["spec"]
    assert service["selector"] == labels


def test_the_composed_cluster(tmp_path, certs):
    compose = yaml.safe_load((DOCKER / "compose.cluster.yml").read_text())
    nodes = [name for name in compose["services"] if name.startswith("node")]
    assert len(nodes) == 6 and compose["services"]["create"]["depends_on"] == nodes
    command = compose["services"]["node1"]["command"]
    assert command[command.index("--port") + 1] == "0"
    assert command[command.index("--tls-auth-clients") + 1] == "yes"
    published = [name for name, service in compose["services"].items() if "ports" in service]
    assert published == ["respgate"]
    loads(tmp_path, certs, (DOCKER / "respgate-cluster.conf").read_text())
