"""The components with Pulumi's mocks: what is registered, under whom, with what, and what of it is secret. No engine, nobody dialled."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi.runtime import mocks, rpc

from components import Office, OfficeArgs
from components.host import Operator
from wg_office import hostscript, keys
from wg_office.access_report import Row, rows
from wg_office.load import load
from wg_office.model import Environment
from wg_office.plan import plan

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "configs"
ADOPTED = "8GUOAOKKNOFJnJZTmNzrvfG1zRYT9scYOLQFdUBNTWQ="
OPERATOR = "the operator's private key"
COMMAND = "command:remote:Command"
PASSWORD = "random:index/randomPassword:RandomPassword"


@dataclass(frozen=True)
class Registered:
    """One resource, the way the program asked the engine for it."""

    kind: str
    name: str
    parent: str
    inputs: dict[str, Any]
    secret_outputs: list[str]
    plain: str
    hooks: bool


@dataclass
class Monitor(mocks.MockMonitor):
    """Pulumi's own stand-in for the engine, which also keeps what it would drop: parents, and what was marked as secret."""

    registered: list[Registered] = field(default_factory=list)

    def __init__(self) -> None:
        super().__init__(Provider())
        self.registered = []

    def RegisterResource(self, request: Any) -> Any:
        if request.type != "pulumi:pulumi:Stack":
            self.registered.append(
                Registered(
                    request.type,
                    request.name,
                    request.parent.split("::", 2)[-1],
                    rpc.deserialize_properties(request.object),
                    list(request.additionalSecretOutputs),
                    json.dumps(_without_secrets(rpc.deserialize_properties(request.object))),
                    bool(request.hooks.on_error),
                )
            )
        return super().RegisterResource(request)  # type: ignore[no-untyped-call]


class Provider(mocks.Mocks):
    """Passwords that follow from their names."""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        if args.typ == PASSWORD:
            return "none", {**args.inputs, "result": {rpc._special_sig_key: rpc._special_secret_sig, "value": secret_of(args.name)}}
        return f"{args.name}-id", dict(args.inputs)

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], None]:
        return {}, None


def secret_of(name: str) -> str:
    """What the mock generates for a RandomPassword of this name."""
    return name.ljust(keys.SECRET_LENGTH, "x")


def _without_secrets(value: Any) -> Any:
    if rpc.is_rpc_secret(value):
        return "[secret]"
    if isinstance(value, Mapping):
        return {key: _without_secrets(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_without_secrets(one) for one in value]
    return value


def _bare(value: Any) -> Any:
    return _bare(rpc.unwrap_rpc_secret(value)) if rpc.is_rpc_secret(value) else value


@dataclass(frozen=True)
class Built:
    """An Office and all that was registered for it."""

    registered: list[Registered]
    outputs: dict[str, Any]
    secret: dict[str, bool]

    def of(self, kind: str) -> list[Registered]:
        return [one for one in self.registered if one.kind == kind]

    def command(self, name: str) -> Registered:
        [found] = [one for one in self.of(COMMAND) if one.name == name]
        return found


def build(environment: Environment, adopted: Mapping[str, str] | None = None, repairs: Mapping[str, str] | None = None) -> Built:
    """Build the environment with mocks."""
    monitor = Monitor()
    asyncio.set_event_loop(asyncio.new_event_loop())
    mocks.set_mocks(monitor.mocks, project="wg-office", stack="test", preview=False, monitor=monitor)
    outputs: dict[str, Any] = {}
    secret: dict[str, bool] = {}

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    async def program() -> None:
        kept = {name: pulumi.Output.secret(key) for name, key in (adopted or {}).items()}
        office = Office("test", OfficeArgs(environment, Operator(pulumi.Output.secret(OPERATOR)), kept, repairs or {}))
        for name, value in office.outputs.items():
            outputs[name] = await value.future()
            secret[name] = await value.is_secret()

    program()
    return Built(monitor.registered, outputs, secret)


def environment_of(tmp_path: Path, **replaced: str) -> Environment:
    """The example with groups; `name=lines` puts more lines under the machine of that name."""
    text = (EXAMPLES / "example-groups.yaml").read_text()
    for line, more in replaced.items():
        assert f"name: {line}\n" in text
        text = text.replace(f"name: {line}\n", f"name: {line}\n{more}")
    path = tmp_path / "environment.yaml"
    path.write_text(text)
    return load(path)


@pytest.fixture
def built(tmp_path: Path) -> Built:
    return build(environment_of(tmp_path))


PRIVATE = {name: keys.private_key(secret_of(f"{name}-secret")) for name in ("hub", "north", "south", "ops1", "dev1", "dev2", "guest")}
PRESHARED = {name: keys.preshared_key(secret_of(f"{name}-secret")) for name in PRIVATE}
SECRETS = {*PRIVATE.values(), *PRESHARED.values(), *(secret_of(f"{name}-secret") for name in PRIVATE), OPERATOR}


def test_every_component_has_a_token_of_the_project(built: Built) -> None:
    components = {one.kind for one in built.registered if not one.kind.startswith(("command:", "random:"))}
    assert components == {f"wg-office:network:{name}" for name in ("Office", "Hub", "Gateway", "WayBack", "Developer", "PeerKeys", "Host")}


def test_every_child_has_its_parent(built: Built) -> None:
    parents = {
        (one.kind.split(":")[-1], one.name): one.parent.split("$")[-1].removeprefix("wg-office:network:") for one in built.registered
    }
    assert parents[("Office", "test")].endswith("wg-office-test")
    for (kind, name), parent in parents.items():
        match kind:
            case "Hub" | "Gateway" | "WayBack" | "Developer":
                assert parent == "Office::test"
            case "PeerKeys":
                assert parent == ("Office::test" if name in ("hub", "north", "south") else f"Developer::{name}")
            case "RandomPassword" if name.endswith("-attempt"):
                assert parent == f"Host::{name.removesuffix('-attempt')}"
            case "RandomPassword":
                assert parent == ("Office::test" if name == "deployment" else f"PeerKeys::{name.removesuffix('-secret')}")
            case "Host":
                assert parent in (f"Hub::{name}", f"Gateway::{name}", f"WayBack::{name}")
            case "Command":
                assert parent == f"Host::{name.rpartition('-')[0]}"
            case _:
                assert kind == "Office"


def test_each_developer_has_a_secret_file_with_both_keys(built: Built) -> None:
    for name in ("ops1", "dev1", "dev2", "guest"):
        for output in (f"dev_{name}_conf", f"dev_{name}_confs"):
            assert built.secret[output], output
        assert f"PrivateKey = {PRIVATE[name]}" in built.outputs[f"dev_{name}_conf"]
        assert f"PresharedKey = {PRESHARED[name]}" in built.outputs[f"dev_{name}_conf"]
        assert built.outputs[f"dev_{name}_conf"] in built.outputs[f"dev_{name}_confs"].values()


def test_what_is_not_secret_names_public_keys_and_no_other(built: Built) -> None:
    assert built.outputs["public_keys"] == {name: keys.public_key(key) for name, key in PRIVATE.items()}
    plain = {name: value for name, value in built.outputs.items() if not built.secret[name]}
    assert plain.keys() == {"public_keys", "by_hand", "access"}
    assert not [secret for secret in SECRETS if secret in json.dumps(plain)]


def test_the_router_without_ssh_is_left_to_a_person(built: Built) -> None:
    assert any("10.73.0.0/16" in line and "192.168.41.2" in line for line in built.outputs["by_hand"])


def test_who_reaches_what_is_an_output_with_the_rows_of_the_table(built: Built, tmp_path: Path) -> None:
    assert [Row(**row) for row in built.outputs["access"]] == list(rows(environment_of(tmp_path)))
    by_group = "developers[3].access[0]; groups.web.access[0]"
    assert {
        "who": "developer guest",
        "may_reach": "site beijing (192.168.40.10)",
        "on": "443/tcp",
        "enforced_at": "hub, north",
        "because": by_group,
    } in built.outputs["access"]


def test_no_resource_is_given_a_key_in_the_open(built: Built) -> None:
    assert not [(one.name, secret) for one in built.registered for secret in SECRETS if secret in one.plain]
    everything = json.dumps([_all(one.inputs) for one in built.registered])
    assert all(json.dumps(secret)[1:-1] in everything for secret in (PRIVATE["hub"], PRESHARED["dev1"], OPERATOR)), (
        "the search would find one"
    )


def _all(value: Any) -> Any:
    value = _bare(value)
    if isinstance(value, Mapping):
        return {key: _all(one) for key, one in value.items()}
    return [_all(one) for one in value] if isinstance(value, list) else value


def test_a_host_is_given_its_own_keys_alone(built: Built) -> None:
    at_hub = _all(built.command("hub-keys").inputs)["stdin"]
    assert all(key in at_hub for key in (PRIVATE["hub"], *(PRESHARED[name] for name in PRIVATE if name != "hub")))
    assert not [name for name in PRIVATE if name != "hub" and PRIVATE[name] in at_hub]
    at_north = _all(built.command("north-keys").inputs)["stdin"]
    assert [name for name in PRIVATE if PRIVATE[name] in at_north] == ["north"]
    assert [name for name in PRESHARED if PRESHARED[name] in at_north] == ["north"]
    assert not [one.name for one in built.of(COMMAND) if one.name.endswith("-router-keys")], "a router holds no key"


def test_the_description_is_shown_and_names_keys_by_their_public_names(built: Built) -> None:
    description = built.command("hub-state").inputs["stdin"]
    assert isinstance(description, str), "it is not secret"
    deployment = keys.deployment_id(secret_of("deployment"))
    assert f"deployment {deployment}\n" in description
    for name in ("north", "ops1", "guest"):
        public = keys.names(secret_of(f"{name}-secret"), PRIVATE[name])
        assert public.public_key in description
        assert public.preshared_name in description


def test_a_changed_description_is_another_attempt_and_says_which(built: Built, tmp_path: Path) -> None:
    changed = build(environment_of(tmp_path).model_copy(update={"developers": environment_of(tmp_path).developers[:-1]}))
    for one in (built, changed):
        assert f"\nattempt {keys.attempt_id(secret_of('hub-attempt'))}\n---- file " in one.command("hub-state").inputs["stdin"]
    was, now = (
        {password.name: password.inputs["keepers"] for password in one.of(PASSWORD) if password.name.endswith("-attempt")}
        for one in (built, changed)
    )
    assert was["hub-attempt"] != now["hub-attempt"]
    assert {name for name in was if was[name] == now[name]} == {"south-attempt", "north-router-attempt"}


def test_an_adopted_key_takes_the_place_of_the_generated_one(tmp_path: Path) -> None:
    built = build(environment_of(tmp_path, hub="  adopt_key: true\n"), {"hub": ADOPTED})
    assert built.outputs["public_keys"]["hub"] == keys.public_key(ADOPTED)
    assert f"PublicKey = {keys.public_key(ADOPTED)}" in built.outputs["dev_dev1_conf"]
    assert ADOPTED in _all(built.command("hub-keys").inputs)["stdin"]
    assert PRIVATE["hub"] not in _all(built.command("hub-keys").inputs)["stdin"]
    assert not [one.name for one in built.registered if ADOPTED in one.plain]


def test_an_adopted_key_that_the_stack_lacks_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(pulumi.RunError, match=r"hub adopts its private key, .*: pulumi config set --secret --path 'privateKeys\.hub'"):
        build(environment_of(tmp_path, hub="  adopt_key: true\n"), {"north": ADOPTED})


def test_a_repair_changes_what_its_host_is_given_and_nothing_else(built: Built, tmp_path: Path) -> None:
    repaired = build(environment_of(tmp_path), repairs={"north": "20261124T100000Z", "gone": "20261124T100000Z"})
    inputs = {one.name: _all(one.inputs) for one in built.of(COMMAND)}
    changed = {one.name: _all(one.inputs) for one in repaired.of(COMMAND) if _all(one.inputs) != inputs[one.name]}
    assert changed.keys() == {"north-keys", "north-state"}
    assert "\nrepair 20261124T100000Z\n" in changed["north-state"]["stdin"].partition("---- file")[0]
    for name, given in changed.items():
        without = given["stdin"].replace("# repair 20261124T100000Z\n", "").replace("repair 20261124T100000Z\n", "")
        assert {**given, "stdin": without} == inputs[name]


def test_what_runs_on_hosts_does_not_depend_on_the_configuration(built: Built) -> None:
    for one in built.of(COMMAND):
        assert one.inputs["create"] == one.inputs["update"], "an update runs what a create runs"
        keys_alone = one.name.endswith("-keys")
        assert one.inputs["create"] == (hostscript.keys_command("root", "keys") if keys_alone else hostscript.apply_command("root"))
        assert one.inputs["delete"] == (hostscript.keys_command("root", "forget-keys") if keys_alone else hostscript.remove_command("root"))
        assert "\n" not in one.inputs["create"]


def test_every_connection_pins_the_host_s_own_key_and_ends_in_time(built: Built, tmp_path: Path) -> None:
    environment = environment_of(tmp_path)
    pinned = {host.name: host.ssh.host_key for host in plan(environment)}
    for one in built.of(COMMAND):
        connection = _all(one.inputs["connection"])
        assert connection["hostKey"] == pinned[one.name.rpartition("-")[0]]
        assert connection["dialErrorLimit"] * connection["perDialTimeout"] < environment.network.rollback_after / 2
        assert connection["privateKey"] == OPERATOR


def test_what_hosts_say_is_secret_and_is_not_sent_back_to_them(built: Built) -> None:
    for one in built.of(COMMAND):
        assert {"stdout", "stderr"} <= set(one.secret_outputs)
        assert one.inputs["addPreviousOutputInEnv"] is False
        assert one.inputs["logging"] == "none"
        assert "triggers" not in one.inputs
        assert "environment" not in one.inputs
        assert not one.hooks, "mocks know no hooks, and none was handed in"
