"""What every host gets: the exact set of files and their exact text, for reviewed environments.

After an intended change: WG_OFFICE_UPDATE_GOLDEN=1 .venv/bin/python -m pytest tests/unit/test_render.py, and read the diff.
In the trees, `generation/` holds what stays in a host's generation; the rest is linked to where its path says.
"""

import hashlib
import json
import os
import re
import shutil
from functools import cache
from pathlib import Path

import pytest

from wg_office.environment.model import Client, Developer, Environment
from wg_office.hosts import keys
from wg_office.hosts.hostscript import scripts
from wg_office.hosts.render import SCRIPT_MARK, Keys, Scripts, render_description, render_files
from wg_office.network.plan import HostPlan, plan
from wg_office.reading.load import load

CONFIGS = Path(__file__).parents[2] / "configs"
GOLDEN = Path(__file__).parents[1] / "golden" / "hosts"
CASES = ("article", "one-gateway", "no-gateway", "firewalls", "by-name", "devices", "several-lans", "same-lans", "until")
MANY = 300
SCRIPTS = Scripts(host="#!/bin/bash\n", flows="# flows\n", after_load="# after\n", follow="# follow\n")

Tree = dict[str, str]


def environment(case: str) -> Environment:
    return load(GOLDEN / case / "environment.yaml")


def secret_of(name: str) -> str:
    return f"the secret of {name}"


@cache
def names_of(name: str, public: str | None) -> keys.PublicNames:
    return keys.names(secret_of(name), None if public else keys.private_key(secret_of(name)), public)


def keys_of(env: Environment) -> Keys:
    """Keys as a deployment would have them, from fixed secrets."""
    return {peer.name: names_of(peer.name, peer.public_key if isinstance(peer, Client) else None) for peer in env.peers}


def tree(env: Environment) -> Tree:
    """Every file of every host, by `host/path`."""
    files = {}
    for host in plan(env):
        for file in render_files(host, keys_of(env)):
            place = file.path if file.path.startswith("/") else f"/generation/{file.path}"
            files[f"{host.name}{place}"] = file.text
    return files


def reviewed(case: str) -> Tree:
    root = GOLDEN / case
    paths = (path for path in root.rglob("*") if path.is_file() and path.parent != root)
    return {str(path.relative_to(root)): path.read_text(encoding="utf-8") for path in paths}


def host_of(env: Environment, name: str) -> HostPlan:
    return next(each for each in plan(env) if each.name == name)


def description(env: Environment, name: str, scripts: Scripts = SCRIPTS) -> str:
    return render_description(host_of(env, name), keys_of(env), "0123456789abcdef", scripts)


def many(count: int = MANY) -> Environment:
    """The article's network with many developers, of whom every third may enter Shenzhen and the others Beijing."""
    developers = [
        {"name": f"dev{n}", "address": f"10.70.{1 + n // 250}.{n % 250 + 1}", "access": ["shenzhen" if n % 3 == 0 else "beijing"]}
        for n in range(count)
    ]
    return environment("article").model_copy(update={"developers": tuple(Developer.model_validate(each) for each in developers)})


# --- whole trees -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_the_files_are_exactly_the_reviewed_ones(case: str) -> None:
    rendered = tree(environment(case))
    if os.environ.get("WG_OFFICE_UPDATE_GOLDEN"):
        for directory in (path for path in (GOLDEN / case).iterdir() if path.is_dir()):
            shutil.rmtree(directory)
        for name, text in rendered.items():
            (GOLDEN / case / name).parent.mkdir(parents=True, exist_ok=True)
            (GOLDEN / case / name).write_text(text, encoding="utf-8")
    assert rendered == reviewed(case)


def test_300_developers_give_the_files_whose_sums_were_reviewed() -> None:
    sums = "".join(f"{hashlib.sha256(text.encode()).hexdigest()}  {name}\n" for name, text in tree(many()).items())
    if os.environ.get("WG_OFFICE_UPDATE_GOLDEN"):
        (GOLDEN / "many.sha256").write_text(sums, encoding="utf-8")
    assert sums == (GOLDEN / "many.sha256").read_text(encoding="utf-8")


def test_300_developers_are_300_peers_of_the_hub_in_the_order_of_the_file() -> None:
    rendered, article = tree(many()), tree(environment("article"))
    netdev = "z/run/systemd/network/50-wg0.netdev"
    head = article[netdev][: article[netdev].index("\n# e, developer")]
    peers = ""
    for n in range(MANY):
        secret = secret_of(f"dev{n}")
        peers += (
            f"\n# dev{n}, developer\n[WireGuardPeer]\nPublicKey={keys.public_key(keys.private_key(secret))}\n"
            f"PresharedKeyFile=/etc/wg-office/keys/{keys.key_name('preshared', keys.preshared_key(secret))}\n"
            f"AllowedIPs=10.70.{1 + n // 250}.{n % 250 + 1}/32\n"
        )
    assert rendered[netdev] == head + peers
    ruled = ("nftables.nft", "/flows")
    for name, text in article.items():
        assert name == netdev or name.endswith(ruled) or rendered[name] == text, name
    assert set(rendered) == set(article)


def test_300_developers_show_on_a_gateway_only_in_what_it_lets_in() -> None:
    flows = tree(many())["a/generation/flows"].splitlines()
    entering = {line.split()[1] for line in flows if line.startswith("allow ")}
    assert entering == {f"10.70.{1 + n // 250}.{n % 250 + 1}/32" for n in range(0, MANY, 3)}


@pytest.mark.parametrize("case", CASES)
def test_every_file_ends_with_its_line_and_nothing_is_left_of_python(case: str) -> None:
    for name, text in tree(environment(case)).items():
        assert text.endswith("\n"), name
        assert "None" not in text, name
        assert "\r" not in text, name


def test_the_reviewed_cases_are_all_there_are() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == {*CASES, "many.sha256"}


def test_the_article_is_the_environment_of_the_lab_but_for_its_host_keys() -> None:
    def without_keys(env: Environment) -> object:
        text = re.sub(r'"host_key":("[^"]*"|null)', '"host_key":null', env.model_dump_json(by_alias=True, exclude={"known_hosts"}))
        return json.loads(text)

    assert without_keys(environment("article")) == without_keys(load(CONFIGS / "dev.yaml", require_host_keys=False))


# --- descriptions ----------------------------------------------------------------------------------------------------------------------


def test_the_description_says_who_the_host_is_and_how_the_operator_comes_in() -> None:
    header = description(environment("article"), "z").split("---- ")[0]
    assert header == (
        "# wg-office description 1\n"
        "# z, hub of dev; reached as root@127.0.0.1:22010, host key SHA256:+ao0mFRj2WUZneZS2TP7+GfbwoSDK/ijTBT+HELYTjk\n"
        "deployment 0123456789abcdef\nhost z\nrole hub\nrollback-after 90\nfirewall nftables\nmark 0x40000000\ninterface wg0\n"
    )


@pytest.mark.parametrize("case", CASES)
def test_the_description_holds_exactly_the_files_and_ends_with_the_script(case: str) -> None:
    env = environment(case)
    for host in plan(env):
        body, _, script = description(env, host.name).partition(f"{SCRIPT_MARK}\n")
        sections = [section.partition("\n") for section in body.split("---- file ")[1:]]
        expected = [(f"{file.path} 0644", file.text) for file in render_files(host, keys_of(env))]
        judged = [("flows.awk 0644", SCRIPTS.flows), ("after-load 0644", SCRIPTS.after_load)] if host.policy is not None else []
        follows = [("follow-endpoint 0644", SCRIPTS.follow)] if (host.name, case) == ("gate", "by-name") else []
        assert [(head, text) for head, _, text in sections] == [*expected, *judged, *follows]
        assert script == SCRIPTS.host


@pytest.mark.parametrize("case", CASES)
def test_no_description_holds_a_private_or_preshared_key(case: str) -> None:
    env = environment(case)
    texts = [description(env, host.name, scripts()) for host in plan(env)]
    for peer in env.peers:
        secret = secret_of(peer.name)
        private, preshared = keys.private_key(secret), keys.preshared_key(secret)
        for text in texts:
            assert not any(each in text for each in (secret, private, preshared))
    hub = keys.public_key(keys.private_key(secret_of(env.hub.name)))
    assert any(hub in text for text in texts) == bool(env.gateways), "the search would find a key"


def test_a_line_that_looks_like_a_mark_is_refused() -> None:
    broken = Scripts(host="", flows="---- script wg-office\n", after_load="")
    with pytest.raises(ValueError, match=r"flows\.awk has a line that starts like a section mark"):
        description(environment("article"), "z", broken)


def test_the_scripts_of_this_clone_travel_as_they_are() -> None:
    text = description(environment("article"), "z", scripts())
    assert text.endswith(f"---- script wg-office\n{scripts().host}")
    beside = f"---- file flows.awk 0644\n{scripts().flows}---- file after-load 0644\n{scripts().after_load}"
    assert f"{beside}---- script wg-office\n" in text
