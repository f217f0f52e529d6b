"""The pages about platforms: their files parse, and name only options and variables that exist."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from strongroom._clock import SYSTEM_CLOCK
from strongroom.caching.locating import SCHEMES, split_group
from strongroom.caching.publication import HEAD
from strongroom.caching.redis_backend import RedisBackend
from strongroom.cli.main import cli
from strongroom.errors import StoreError
from strongroom.keystore.publishing import publish
from tests.cli.tree import verbs
from tests.support.redis_server import RedisServer
from tests.workers.scenes import Site

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"
PAGES = ["docker.md", "kubernetes.md", "heroku.md", "github-actions.md", "workers.md"]
INSTRUCTIONS = {"FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "HEALTHCHECK", "CMD"}
FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE)


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a language, without their indentation."""
    found = []
    for match in FENCE.finditer((HOW_TO / page).read_text()):
        if match["language"] == language:
            found.append("\n".join(line.removeprefix(match["indent"]) for line in match["text"].splitlines()) + "\n")
    return found


def places_in(text: str) -> list[str]:
    return re.findall(r"(?:redis|rediss|file|django-cache)[+\w]*:[^\s\"'`)]+", text)


@pytest.mark.parametrize("page", PAGES)
def test_every_place_that_a_page_names_is_one(page: str) -> None:
    for place in places_in((HOW_TO / page).read_text()):
        bare, group = split_group(place)
        assert bare.partition(":")[0] in SCHEMES, place
        assert group in {None, "web", "deploy", "GROUP"}, place


@pytest.mark.parametrize("page", PAGES)
def test_every_strongroom_command_of_a_page_is_understood(page: str) -> None:
    known = {ctx.command_path: {name for each in command.params for name in each.opts} for ctx, command in verbs()}
    everywhere = {name for each in cli.params for name in each.opts}
    text = (HOW_TO / page).read_text().replace('", "', " ")
    for match in re.finditer(r"\bstrongroom ((?:worker |role )?[a-z-]+)((?: [^\n`'\"|&;)\]]*)?)", text):
        path = f"strongroom {match[1]}"
        if path not in known:
            continue  # prose: "strongroom is …"
        for option in re.findall(r" (--[a-z-]+)", match[2].partition(" -- ")[0]):
            assert option in known[path] | everywhere, f"{page}: {path} {option}"
    assert re.search(r"strongroom (publish|doctor|worker|run)", text)


def test_the_dockerfile_is_one_and_what_it_says_fits_the_services() -> None:
    (dockerfile,) = blocks("docker.md", "dockerfile")
    lines = re.sub(r"\\\n", " ", dockerfile).splitlines()
    words = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    assert words[0][0] == "FROM"
    assert {word for word, _ in words} <= INSTRUCTIONS
    for word, rest in words:
        if word == "CMD":
            assert json.loads(rest)[0] == "gunicorn"
        if word == "ENV":
            said = dict(pair.split("=", 1) for pair in shlex.split(rest))
    (services,) = [yaml.safe_load(text) for text in blocks("docker.md", "yaml")]
    secret = said["STRONGROOM_IDENTITY_FILE"].removeprefix("/run/secrets/")
    assert secret in services["secrets"]
    assert [each["source"] for each in services["services"]["web"]["secrets"]] == [secret]
    role = services["services"]["publisher"]
    assert role["environment"]["STRONGROOM_IDENTITY_FILE"] == f"/run/secrets/{role['secrets'][0]['source']}"
    assert role["secrets"][0]["source"] not in [each["source"] for each in services["services"]["web"]["secrets"]]
    assert {each["secrets"][0]["mode"] for each in (role, services["services"]["web"])} == {0o440}
    assert "volumes" not in services["services"]["web"]


def test_what_a_pod_is_told_to_read_is_mounted_and_the_web_has_no_store() -> None:
    (text,) = blocks("kubernetes.md", "yaml")
    deployments: list[dict[str, Any]] = list(yaml.safe_load_all(text))
    assert [each["metadata"]["name"] for each in deployments] == ["web", "strongroom-publisher"]
    for deployment in deployments:
        assert deployment["kind"] == "Deployment"
        pod = deployment["spec"]["template"]
        assert pod["metadata"]["labels"] == deployment["spec"]["selector"]["matchLabels"]
        (container,) = pod["spec"]["containers"]
        env = {each["name"]: each["value"] for each in container["env"]}
        mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
        volumes = {each["name"]: each for each in pod["spec"]["volumes"]}
        assert set(mounts) == set(volumes)
        assert env["STRONGROOM_IDENTITY_FILE"] == f"{mounts['identity']}/identity"
        assert volumes["identity"]["secret"]["defaultMode"] == 0o440
        assert pod["spec"]["securityContext"]["fsGroup"] == pod["spec"]["securityContext"]["runAsGroup"]
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
    web = deployments[0]["spec"]["template"]["spec"]["containers"][0]
    assert web["readinessProbe"]["exec"]["command"] == ["strongroom", "doctor", "--ready"]
    store = {each["name"]: each["value"] for each in web["env"]}["STRONGROOM_STORE"]
    assert [place.partition(":")[0] for place in store.split()] == ["redis", "file"]
    assert f"file:{ {each['name']: each['mountPath'] for each in web['volumeMounts']}['boot'] }/" in store


def test_the_procfile_has_a_command_a_line() -> None:
    procfile = blocks("heroku.md", "text")[0]
    said = dict(line.split(": ", 1) for line in procfile.splitlines())
    assert set(said) == {"release", "web", "worker"}
    for name in ("web", "worker"):
        variable, *command = shlex.split(said[name])
        assert variable.startswith("STRONGROOM_STORE=$REDIS_URL?")
        assert command[0] in {"gunicorn", "celery"}


def test_the_workflow_gives_a_secret_to_the_step_that_needs_it() -> None:
    (text,) = blocks("github-actions.md", "yaml")
    workflow = yaml.safe_load(text)
    assert set(workflow["jobs"]) == {"publish", "test", "migrate"}
    assert "env" not in workflow
    for job in workflow["jobs"].values():
        assert "env" not in job
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            if "secrets." in json.dumps(step):
                assert step["run"].startswith("strongroom ")
    assert "secrets." not in json.dumps(workflow["jobs"]["test"])


def test_the_users_of_redis_that_the_page_gives_may_do_what_they_need_and_no_more(place: Path) -> None:
    site = Site.make(place / ".strongroom", SYSTEM_CLOCK)
    identity = site.group("web")
    (text,) = blocks("workers.md", "text")
    with RedisServer() as server:
        for line in text.splitlines():
            words = line.replace(">PASSWORD", ">word").split()
            assert server.command("ACL", "SETUSER", *words[1:]) == b"+OK\r\n"
        reader, writer = (server.url.replace("//", f"//{user}:word@") for user in ("web", "publisher"))
        publish(site.keystore, to=[writer])
        backend = RedisBackend(reader, store=identity.store, group="web")
        heard = backend.subscribe()
        publish(site.keystore, to=[writer], force=True)
        assert any(heard.heard(1) for _ in range(5))
        assert backend.head() == backend.read()[:HEAD]
        with pytest.raises(StoreError, match="no permissions"):
            backend.write(b"x", seconds=60)
        with pytest.raises(StoreError, match="no permissions"):
            backend._asked(lambda client: client.getrange("other", 0, 1))
        heard.close()
        backend.close()
    site.keystore.close()
