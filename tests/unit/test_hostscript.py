"""The host script's text and the command lines that start it."""

import re
import subprocess
from dataclasses import replace
from pathlib import Path

from netaddr import IPAddress

from wg_office.hosts import hostscript
from wg_office.hosts.keys import PublicNames
from wg_office.hosts.render import render_description
from wg_office.network.plan import plan
from wg_office.reading.load import load


def test_status_pings_what_it_is_told_behind_the_script() -> None:
    text = hostscript.status_lines([IPAddress("10.70.0.1"), IPAddress("192.168.200.248")])
    assert text == f"{hostscript.scripts().host}ping 10.70.0.1\nping 192.168.200.248\n"


def test_status_runs_as_root_and_ends_in_time() -> None:
    assert hostscript.status_command("root") == "timeout -k 5 100 bash --norc -s -- status full"
    assert hostscript.status_command("ops") == "sudo -n timeout -k 5 100 bash --norc -s -- status full"


def test_a_new_repair_stamp_alone_makes_other_lines_for_the_keys() -> None:
    keys = {"private-1": "secret"}
    plain, stamped = hostscript.key_lines("00", keys), hostscript.key_lines("00", keys, "20261124T100000Z")
    assert stamped == plain.replace("deployment 00\n", "deployment 00\n# repair 20261124T100000Z\n")


def test_nothing_is_piped_into_grep_q() -> None:
    # Under pipefail a command that still writes when grep has its match turns a "yes" into a "no".
    assert re.findall(r".*\|\s*grep -[a-zA-Z]*q.*", hostscript.scripts().host.replace("||", "")) == []


def test_what_stands_beside_the_keys_is_read_back_and_is_no_key() -> None:
    way = "carries-ssh-of a\n---- file way.netdev 0644\n[WireGuard]\nPrivateKeyFile=/etc/wg-office/keys/private-1\n"
    text = hostscript.key_lines("00", {"private-1": "K"}, "20261124T100000Z", way)
    assert hostscript.way_in(text) == way
    assert hostscript.way_in(hostscript.key_lines("00", {"private-1": "K"})) == ""
    assert [line for line in text.rpartition("deployment 00\n")[2].splitlines() if not line.startswith("# ")] == ["private-1 K"]


def test_the_script_has_the_exit_statuses_of_this_program_and_none_of_its_own() -> None:
    script = hostscript.scripts().host
    used = set(re.findall(r'(?:die|exit) "\$([a-z_]+)"', script)) - {"status"}
    ask = f"{script.rpartition('main ')[0]} printf '%s ' {' '.join(f'${name}' for name in sorted(used))}"
    said = subprocess.run(["bash"], input=ask, capture_output=True, text=True, check=True).stdout
    named = {"unconfirmed": hostscript.APPLIED_UNCONFIRMED} | {name: getattr(hostscript, name.upper()) for name in used - {"unconfirmed"}}
    assert said.split() == [str(named[name]) for name in sorted(used)]
    shebang, _, rest = script.split("\n", 2)
    by_itself = subprocess.run(["bash"], input=f"{shebang}\n{rest}", capture_output=True, text=True, check=False)
    assert by_itself.returncode != 0, "it knows no numbers but those in its second line"


def test_every_verb_stands_in_the_scripts_head_and_in_its_usage() -> None:
    text = hostscript.scripts().host
    head, _, rest = text.partition("set -euo pipefail")
    verbs = set(re.findall(r"^verb_([a-z_]+)\(\)", rest, re.MULTILINE))
    (usage,) = re.findall(r'"usage: wg-office (.*)"', rest)
    assert {each.split()[0].replace("-", "_") for each in usage.split(" | ")} == verbs
    assert set(re.findall(r"^#   ([a-z-]+) ", head, re.MULTILINE)) == {verb.replace("_", "-") for verb in verbs}


def test_a_tunnel_is_taken_over_where_the_plan_says_so_and_nothing_else_of_the_description_changes() -> None:
    env = load(Path(__file__).parents[2] / "configs" / "dev.yaml", require_host_keys=False)
    hub = plan(env)[0]
    names = {peer.name: PublicNames(f"{peer.name}-key", f"private-{peer.name}", f"preshared-{peer.name}") for peer in env.peers}
    one, other = (
        render_description(each, names, "00", hostscript.scripts()).splitlines() for each in (hub, replace(hub, takes_over="wg-quick"))
    )
    assert set(other) - set(one) == {"takes-over wg-quick"}
    assert set(one) - set(other) == set()
