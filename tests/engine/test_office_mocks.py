"""The components with Pulumi's mocks: what is registered, under whom, with what, and what of it is secret. No engine, nobody dialled."""

import asyncio
import json
import re
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
import pytest
from netaddr import IPAddress
from pulumi.runtime import mocks, rpc, settings

from components import Office, OfficeArgs
from components.host import Operator
from wg_office.commands import access_report
from wg_office.commands.access_report import columns
from wg_office.environment.model import Environment
from wg_office.hosts import hostscript, keys
from wg_office.network import access
from wg_office.network.plan import plan
from wg_office.people.pasted import Standing, held
from wg_office.people.profiles import MISSING_PRIVATE_KEY
from wg_office.reading.load import load

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "configs"
ADOPTED = "8GUOAOKKNOFJnJZTmNzrvfG1zRYT9scYOLQFdUBNTWQ="
OPERATOR = "the operator's private key"
WHEN = ("before_create", "before_update", "after_create", "after_update", "on_error")
COMMAND = "command:remote:Command"
ATTEMPT = "pulumi:index:Stash"
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
    hooks: list[list[str]]
    replacement_trigger: str


@dataclass
class Monitor(mocks.MockMonitor):
    """Pulumi's own stand-in for the engine, which also keeps what it would drop: parents, and what was marked as secret."""

    registered: list[Registered] = field(default_factory=list)

    def __init__(self) -> None:
        super().__init__(Provider())
        self.registered, self.component_outputs, self.noted = [], list[str](), dict[str, Any]()

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
                    [sorted(getattr(request.hooks, when)) for when in WHEN],
                    request.replacement_trigger.string_value,
                )
            )
        with loop_of_its_own():
            return super().RegisterResource(request)  # type: ignore[no-untyped-call]  # Pulumi's mocks have no types

    def RegisterResourceOutputs(self, request: Any) -> Any:
        self.component_outputs.append(str(request.outputs))
        self.noted[request.urn.rpartition("$")[2]] = rpc.deserialize_properties(request.outputs)
        return super().RegisterResourceOutputs(request)  # type: ignore[no-untyped-call]  # Pulumi's mocks have no types


@contextmanager
def loop_of_its_own() -> Iterator[None]:
    """For a thread of the pool in which Pulumi's mocks answer: they would make an event loop, and leave it open."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        yield
    finally:
        asyncio.set_event_loop(None)
        loop.close()


class Callbacks:
    """Takes hooks, as the engine does; Pulumi's mocks know none."""

    def register_resource_hook(self, hook: pulumi.ResourceHook) -> None: ...

    def register_error_hook(self, hook: pulumi.ErrorHook) -> None: ...


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


def build(
    environment: Environment,
    adopted: Mapping[str, str] | None = None,
    repairs: Mapping[str, str] | None = None,
    monitor: Monitor | None = None,
    pasted: Mapping[str, Standing | None] | None = None,
    preshared: Mapping[str, str] | None = None,
    beside: Sequence[str] = (),
) -> Built:
    """Build the environment with mocks; `beside` are names of further offices of the same environment."""
    monitor = monitor or Monitor()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    mocks.set_mocks(monitor.mocks, project="wg-office", stack="test", preview=False, monitor=monitor)
    settings.SETTINGS.callbacks = Callbacks()
    outputs: dict[str, Any] = {}
    secret: dict[str, bool] = {}

    @pulumi.runtime.test  # type: ignore[untyped-decorator]  # Pulumi's mocks have no types
    async def program() -> None:
        kept, shared = ({name: pulumi.Output.secret(key) for name, key in (given or {}).items()} for given in (adopted, preshared))
        operator = Operator(pulumi.Output.secret(OPERATOR))
        args = OfficeArgs(environment, operator, kept, repairs or {}, pasted=pasted or {}, adopted_preshared=shared, alone=True)
        office = Office("test", args)
        for name in beside:
            Office(name, OfficeArgs(environment, operator, kept, adopted_preshared=shared))
        for name, value in office.outputs.items():
            outputs[name] = await value.future()
            secret[name] = await value.is_secret()

    try:
        program()
    finally:
        # The office listens for Ctrl-C, which after it is pytest's again.
        loop.remove_signal_handler(signal.SIGINT)
        asyncio.set_event_loop(None)
        loop.close()
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


HOSTS = ("hub", "north", "south")
PRIVATE = {name: keys.private_key(secret_of(f"{name}-secret")) for name in (*HOSTS, "ops1", "dev1", "dev2", "guest")}
PRESHARED = {name: keys.preshared_key(secret_of(f"{name}-secret")) for name in PRIVATE}
SECRETS = {*PRIVATE.values(), *PRESHARED.values(), *(secret_of(f"{name}-secret") for name in PRIVATE), OPERATOR}


def test_every_component_has_a_token_of_the_project(built: Built) -> None:
    components = {one.kind for one in built.registered if not one.kind.startswith(("command:", "random:", "pulumi:"))}
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
                assert (name, parent) in [(host, "Office::test") for host in HOSTS]
            case "Stash":
                assert parent == f"Host::{name.removesuffix('-attempt')}"
            case "RandomPassword":
                owner = name.removesuffix("-secret")
                assert parent == ("Office::test" if name == "deployment" else f"{'PeerKeys' if owner in HOSTS else 'Developer'}::{owner}")
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


def test_no_component_keeps_a_second_copy_of_a_file_or_key(tmp_path: Path) -> None:
    monitor = Monitor()
    build(environment_of(tmp_path), monitor=monitor)
    kept = "".join(monitor.component_outputs)
    assert len(monitor.component_outputs) > len(HOSTS)
    assert "public_key" in kept, "what is kept is seen"
    assert "PrivateKey" not in kept
    assert not [secret for secret in SECRETS if secret in kept]


def test_what_is_not_secret_names_public_keys_and_no_other(built: Built) -> None:
    assert public_keys(built) == {name: keys.public_key(key) for name, key in PRIVATE.items()}
    plain = {name: value for name, value in built.outputs.items() if not built.secret[name]}
    assert plain.keys() == {"public_keys", "by_hand", "access"}
    assert not [secret for secret in SECRETS if secret in json.dumps(plain)]


def test_the_router_without_ssh_is_left_to_a_person(built: Built) -> None:
    assert "ip route replace 10.73.0.0/16 via 192.168.41.2" in built.outputs["by_hand"]


def unmanaged(tmp_path: Path, **more: object) -> Environment:
    environment = environment_of(tmp_path)
    gateways = tuple(
        each.model_copy(update={"ssh": None, "managed": "routeros", "router": "self", **more}) if each.name == "south" else each
        for each in environment.gateways
    )
    return environment.model_copy(update={"gateways": gateways})


def test_a_gateway_that_nobody_logs_in_to_is_keys_and_a_secret_text_and_no_host(built: Built, tmp_path: Path) -> None:
    found = build(unmanaged(tmp_path))
    assert found.secret["gateway_south_conf"]
    assert all(
        key in found.outputs["gateway_south_conf"] for key in (PRIVATE["south"], PRESHARED["south"], keys.public_key(PRIVATE["hub"]))
    )
    assert {(one.kind, one.name) for one in found.registered if one.name.startswith("south")} == {
        ("wg-office:network:PeerKeys", "south"),
        (PASSWORD, "south-secret"),
        ("wg-office:network:PastedGateway", "south"),
    }
    assert public_keys(found) == public_keys(built), "it keeps the keys that it had as a host"
    assert PRESHARED["south"] in _all(found.command("hub-keys").inputs)["stdin"]
    assert "gateway_south_conf" not in built.outputs
    assert not [one.name for one in found.registered if PRIVATE["south"] in one.plain]


def test_a_device_with_a_key_of_its_own_is_known_by_that(tmp_path: Path) -> None:
    own = keys.public_key(ADOPTED)
    found = build(unmanaged(tmp_path, public_key=own))
    assert public_keys(found)["south"] == own
    assert f"PublicKey={own}" in found.command("hub-state").inputs["stdin"]
    assert MISSING_PRIVATE_KEY in found.outputs["gateway_south_conf"]
    assert PRIVATE["south"] not in found.outputs["gateway_south_conf"]


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is warned of."""
    said: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", said.append)
    return said


def test_what_is_to_be_pasted_is_said_until_the_stack_has_noted_it(tmp_path: Path, warned: list[str]) -> None:
    monitor = Monitor()
    build(unmanaged(tmp_path), monitor=monitor)
    [down] = warned
    assert down.startswith("south: site shenzhen is down until what gateway_south_conf says is set there")
    noted = {"south": held(monitor.noted["wg-office:network:PastedGateway::south"]["standing"])}
    build(unmanaged(tmp_path), pasted=noted)
    assert warned == [down], "nothing is new"
    build(unmanaged(tmp_path, listen_port=51999), pasted=noted)
    assert warned[1].startswith("south: gateway_south_conf says something else now")
    build(unmanaged(tmp_path, address=IPAddress("10.73.0.99")), pasted=noted)
    assert warned[2] == down
    assert not [secret for secret in SECRETS if secret in f"{warned} {monitor.component_outputs}"]


def test_whoever_leaves_the_device_is_told_that_what_was_pasted_stays(tmp_path: Path, warned: list[str]) -> None:
    build(environment_of(tmp_path), pasted={"south": None, "gone": None})
    assert warned == [
        "gone: nobody logs in there, and what was pasted stays: take it away by hand",
        "south: take the tunnel away on the device that it was pasted on: the host that is set up now has the same keys",
    ]


def public_keys(built: Built) -> dict[str, str]:
    return dict(line.split() for line in built.outputs["public_keys"].splitlines())


def test_who_reaches_what_is_worked_out_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment, asked, worked_out = environment_of(tmp_path), [], access.permissions

    def permissions(env: Environment) -> tuple[access.Permission, ...]:
        asked.append(env)
        return worked_out(env)

    for module in (access, access_report):
        monkeypatch.setattr(module, "permissions", permissions)
    assert build(environment).outputs["access"] == columns(environment, access.reach_of(environment))
    assert len(asked) == 2, "once by the program, once by this test"


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


def test_an_update_says_which_attempt_it_is(built: Built) -> None:
    assert sorted(one.name for one in built.of(ATTEMPT)) == sorted(f"{name}-attempt" for name in (*HOSTS, "north-router"))
    assert built.command("hub-state").inputs["update"].startswith(": attempt hub; "), "the mock's id is hub-attempt-id"


def test_another_description_is_another_attempt_and_nothing_else_is(built: Built, tmp_path: Path) -> None:
    changed = build(environment_of(tmp_path).model_copy(update={"developers": environment_of(tmp_path).developers[:-1]}))
    was, now = ({one.name: one.replacement_trigger for one in each.of(ATTEMPT)} for each in (built, changed))
    assert was["hub-attempt"] != now["hub-attempt"]
    assert {name for name in was if was[name] == now[name]} == {"south-attempt", "north-router-attempt"}


def test_an_adopted_key_takes_the_place_of_the_generated_one(tmp_path: Path) -> None:
    built = build(environment_of(tmp_path, hub="  adopt_key: true\n"), {"hub": ADOPTED})
    assert public_keys(built)["hub"] == keys.public_key(ADOPTED)
    assert f"PublicKey = {keys.public_key(ADOPTED)}" in built.outputs["dev_dev1_conf"]
    assert ADOPTED in _all(built.command("hub-keys").inputs)["stdin"]
    assert PRIVATE["hub"] not in _all(built.command("hub-keys").inputs)["stdin"]
    assert not [one.name for one in built.registered if ADOPTED in one.plain]


def test_hosts_and_people_that_keep_their_private_keys_leave_none_in_the_state(tmp_path: Path) -> None:
    own = {name: keys.public_key(keys.private_key(f"own-{name}")) for name in PRIVATE}
    environment = environment_of(tmp_path)
    built = build(
        environment.model_copy(
            update={
                "hub": environment.hub.model_copy(update={"public_key": own["hub"]}),
                "gateways": tuple(each.model_copy(update={"public_key": own[each.name]}) for each in environment.gateways),
                "developers": tuple(each.model_copy(update={"public_key": own[each.name]}) for each in environment.developers),
            }
        )
    )
    assert public_keys(built) == own
    given = {name: _all(built.command(f"{name}-keys").inputs)["stdin"] for name in HOSTS}
    assert {name: re.findall(r"^(private|preshared)-", text, re.MULTILINE) for name, text in given.items()} == {
        "hub": ["preshared"] * (len(PRIVATE) - 1),
        "north": ["preshared"],
        "south": ["preshared"],
    }
    for name in HOSTS:
        assert f"PrivateKeyFile={keys.own_key_file(own[name])}\n" in built.command(f"{name}-state").inputs["stdin"]
    held = json.dumps([_all(one.inputs) for one in built.registered]) + json.dumps(built.outputs)
    assert not [name for name, private in PRIVATE.items() if private in held]


def test_an_adopted_preshared_key_takes_the_place_of_the_generated_one(tmp_path: Path) -> None:
    lines = {"north": "    preshared: adopted\n"}
    built = build(environment_of(tmp_path, **lines), preshared={"north": ADOPTED, "south": PRESHARED["dev1"]})
    for host in ("hub", "north"):
        stdin = _all(built.command(f"{host}-keys").inputs)["stdin"]
        assert f"{keys.key_name('preshared', ADOPTED)} {ADOPTED}\n" in stdin
        assert PRESHARED["north"] not in stdin
        assert (
            f"PresharedKeyFile=/etc/wg-office/keys/{keys.key_name('preshared', ADOPTED)}\n"
            in built.command(f"{host}-state").inputs["stdin"]
        )
    assert PRESHARED["south"] in _all(built.command("hub-keys").inputs)["stdin"], "what nobody asks for stays as it is"
    assert not [one.name for one in built.registered if ADOPTED in one.plain]


def test_no_preshared_key_is_given_to_hosts_where_there_is_none(tmp_path: Path) -> None:
    built = build(environment_of(tmp_path, north="    preshared: none\n"))
    assert "preshared-" not in _all(built.command("north-keys").inputs)["stdin"]
    assert "PresharedKeyFile=" not in built.command("north-state").inputs["stdin"]
    assert PRESHARED["north"] not in _all(built.command("hub-keys").inputs)["stdin"]
    assert PRESHARED["south"] in _all(built.command("hub-keys").inputs)["stdin"]


def test_a_developer_keeps_a_preshared_key_or_has_none(tmp_path: Path) -> None:
    environment = environment_of(tmp_path)
    for kept, line in (("adopted", f"PresharedKey = {ADOPTED}"), ("none", None)):
        first = environment.developers[0].model_copy(update={"preshared": kept})
        changed = environment.model_copy(update={"developers": (first, *environment.developers[1:])})
        conf = build(changed, preshared={first.name: ADOPTED}).outputs[f"dev_{first.name}_conf"]
        assert [each for each in conf.splitlines() if each.startswith("PresharedKey")] == ([line] if line else [])


def test_an_adopted_preshared_key_that_the_stack_lacks_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(
        pulumi.RunError, match=r"north adopts its preshared key, .*: pulumi config set --secret --path 'presharedKeys\.north'"
    ):
        build(environment_of(tmp_path, north="    preshared: adopted\n"), {"north": ADOPTED})


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
        assert one.inputs["update"].endswith(one.inputs["create"]), "an update runs what a create runs"
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


# --- hooks, and other offices ------------------------------------------------------------------------------------------------------------


def test_an_office_confirms_and_foresees_by_itself_whatever_changes_a_host(built: Built) -> None:
    before, after, failed = ["a-host-is-under-way", "foresee-interruptions"], ["a-host-is-done"], ["confirm-over-a-new-connection"]
    assert [one.hooks for one in built.of(COMMAND)] == [[before, before, after, after, failed]] * len(built.of(COMMAND))


def test_of_several_offices_each_but_the_one_alone_puts_its_name_before_all_names(built: Built, tmp_path: Path) -> None:
    three = build(environment_of(tmp_path), beside=("a", "b"))
    own = [(one.kind, one.name) for one in built.registered]
    others = [(kind, f"{prefix}-{name}") for prefix in "ab" for kind, name in own if not kind.endswith(":Office")]
    offices = [("wg-office:network:Office", prefix) for prefix in "ab"]
    assert sorted((one.kind, one.name) for one in three.registered) == sorted([*own, *offices, *others])
    for one in built.of(COMMAND):
        assert three.command(one.name).hooks == one.hooks
        assert three.command(f"a-{one.name}").hooks == [[f"a-{hook}" for hook in hooks] for hooks in one.hooks]


def test_an_office_beside_another_is_given_what_it_would_be_alone(built: Built, tmp_path: Path) -> None:
    beside = build(environment_of(tmp_path), beside=("a",))
    assert beside.outputs == built.outputs
    given = _all(beside.command("a-south-state").inputs)["stdin"]
    assert "south, gateway of product" in given
    assert keys.deployment_id(secret_of("a-deployment")) in given


# --- one key, two peers ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("victim", ["hub", "south", "dev1"])
def test_a_key_that_is_another_peers_generated_one_is_refused_before_any_host_is_dialled(victim: str, tmp_path: Path) -> None:
    environment = environment_of(tmp_path)
    taken = keys.public_key(PRIVATE[victim])
    developers = tuple(each.model_copy(update={"public_key": taken}) if each.name == "guest" else each for each in environment.developers)
    monitor = Monitor()
    with pytest.raises(pulumi.RunError, match=f"{victim} and guest have the same public key"):
        build(environment.model_copy(update={"developers": developers}), monitor=monitor)
    assert [one.name for one in monitor.registered if one.kind == COMMAND] == []


def test_an_adopted_key_that_somebody_brought_is_refused_too(tmp_path: Path) -> None:
    environment = environment_of(tmp_path, hub="  adopt_key: true\n")
    developers = tuple(
        each.model_copy(update={"public_key": keys.public_key(ADOPTED)}) if each.name == "guest" else each
        for each in environment.developers
    )
    with pytest.raises(pulumi.RunError, match="hub and guest have the same public key"):
        build(environment.model_copy(update={"developers": developers}), {"hub": ADOPTED})
