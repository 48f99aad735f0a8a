"""`python -m wg_office bootstrap` with real sshds: whom its script lets in where, once and for an hour, and what its keys may do.

Those marked `matrix` are run by `make test-matrix`, because of their time.
What systemd does with the timer and the service, NAT and WireGuard are for the lab's machines (test_first_minute.py).
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from first_minute import ANOTHERS, CLONE, Machine, Office, listens, until
from sshd import LOOPBACK, free_port, new_key

from wg_office.environment.fields import fingerprint

ENDS_THE_HOUR = 'sh -c "$(cat /run/units/wg-office-bootstrap-a.timer)"'
"""What the hub's timer does, with the stand-in."""


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with Machine() as hub, Machine() as site:
        yield Office(tmp_path, hub, site)


def pasted(machine: Machine, script: str, shell: str = "dash") -> subprocess.CompletedProcess[str]:
    """What comes of a script on a machine."""
    return machine.run(f"cat >/run/script; {shell} /run/script; status=$?; rm /run/script; exit $status", script)


def stands(office: Office, script: str) -> None:
    """Have the gateway call, and wait until it is reached."""
    done = pasted(office.site, script)
    assert done.returncode == 0, done
    until(lambda: listens(office.way))


def refused(machine: Machine, script: str) -> str:
    """The one line of a script that does nothing."""
    before = (machine.authorized, machine.shell("ls /run"))
    done = pasted(machine, script)
    assert (done.returncode, machine.authorized, machine.shell("ls /run")) == (1, *before), done
    assert done.stderr.count("\n") == 1
    return done.stderr


def through_the_hub(office: Office, command: str) -> list[str]:
    """The operator's way to the gateway, whose key must be the one that is written down."""
    hop = f"-oProxyCommand=ssh -F/dev/null -oBatchMode=yes -oUserKnownHostsFile={office.known} -oIdentitiesOnly=yes -i{office.key} "
    hop += f"-p{office.hub.port} -W %h:%p root@{LOOPBACK}"
    options = ["-oStrictHostKeyChecking=yes", f"-oUserKnownHostsFile={office.known}", "-oIdentitiesOnly=yes", "-oBatchMode=yes"]
    return ["ssh", "-F/dev/null", *options, f"-i{office.key}", hop, f"-p{office.way}", f"root@{LOOPBACK}", command]


# --- as it should be -----------------------------------------------------------------------------------------------------------------


def test_a_gateway_that_nobody_can_dial_is_reached_by_its_own_call_with_the_key_that_it_shows(office: Office) -> None:
    with office.invited() as (script, running):
        done = pasted(office.site, script)
        assert done.returncode == 0, done.stderr
        said = running.communicate(timeout=240)
        assert running.returncode == 0, said
    assert office.known.read_text().splitlines()[1:] == [f"[{LOOPBACK}]:{office.way},192.0.2.2 {office.site.host_key}"]
    assert done.stdout.splitlines()[-1] == fingerprint(office.site.host_key)
    assert fingerprint(office.site.host_key) in said[1]
    held = subprocess.Popen(through_the_hub(office, "cat"), stdin=subprocess.PIPE, text=True)
    second = subprocess.run(through_the_hub(office, "cat /etc/ssh/ssh_host_ed25519_key.pub"), capture_output=True, text=True, check=True)
    assert second.stdout.strip() == office.site.host_key, "while another connection stands, as for a confirmation"
    held.communicate()
    own = " ".join(office.public.split()[:2])
    assert office.site.authorized == f"{ANOTHERS}\nrestrict {own} wg-office-office\n"


def test_the_command_of_the_document_is_this_one(office: Office) -> None:
    section = (CLONE / "docs" / "operations.md").read_text().partition("\n## A gateway's first minute\n")[2].partition("\n## ")[0]
    typed, *others = [line.removeprefix("    $ ") for line in section.splitlines() if line.startswith("    ")]
    assert set(others) == {"pulumi up", "python -m wg_office status configs/office.yaml | tail -n 1"}, "which test_first_minute.py types"
    assert section.index("`access: [{host: a, ports: [22/tcp]}]`") < section.index(typed), "the `up` over the tunnel needs it in force"
    (office.folder / "configs").symlink_to(office.folder)
    more = ["--hub", f"{LOOPBACK}:{office.hub.port}", "--key", str(office.key)]
    command = [sys.executable, *typed.split()[1:], *more]
    with subprocess.Popen(
        command, cwd=office.folder, env={**os.environ, "PYTHONPATH": str(CLONE)}, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        script = "".join(iter(running.stdout.readline, ")\n")) + ")\n"
        stands(office, script)
        assert running.wait(240) == 0


def test_after_its_hour_the_hub_is_as_it_was_and_the_way_has_ended(office: Office) -> None:
    stands(office, office.script())
    office.hub.shell(ENDS_THE_HOUR)
    until(lambda: not listens(office.way))
    assert office.hub.authorized == office.hub_before
    assert office.hub.shell("ls /run/wg-office-bootstrap /run/units") == "/run/units:\n\n/run/wg-office-bootstrap:\nlock\n"


def test_pasted_into_a_shell_it_neither_ends_nor_changes_that_shell(office: Office) -> None:
    typed = f"{office.script()}echo still ${{nothing-here}}$hub\nexit\n"
    done = office.site.run("script -qec 'bash --norc -i' /dev/null", typed)
    until(lambda: listens(office.way))
    assert [line for line in done.stdout.splitlines() if line.startswith("still")] == ["still here"]


@pytest.mark.matrix
def test_a_key_that_is_there_already_is_not_added_again(office: Office) -> None:
    office.site.shell(f"echo >>/root/.ssh/authorized_keys; echo '{office.public} mine' >>/root/.ssh/authorized_keys")
    before = office.site.authorized
    stands(office, office.script())
    assert office.site.authorized == before


@pytest.mark.matrix
def test_colleagues_are_let_in_where_their_keys_are_given(office: Office) -> None:
    colleague = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQC7colleague0123456789012345678901234567890123456789"
    (office.folder / "colleagues.pub").write_text(f"# CI\n{colleague} ci@office\n")
    with office.invited("--authorize", "colleagues.pub") as (script, _):
        pasted(office.site, script)
    assert f"\nrestrict {colleague} wg-office-office\n" in office.site.authorized


def test_the_way_is_dialled_again_when_it_breaks_and_ends_a_while_after_a_confirmed_up(office: Office) -> None:
    stands(office, office.script().replace("sleep 5", "sleep 0.2"))
    office.site.shell("pkill -f '[s]sh -N -F'")
    until(lambda: int(office.hub.shell("wc -l </run/wg-office-bootstrap/a/sessions")) > 1 and listens(office.way))
    office.site.shell("mkdir -p /etc/wg-office/current /run/wg-office; touch /run/wg-office/armed /etc/wg-office/current/description")
    office.site.shell("date +%s >/run/handshake; sleep 3")
    assert listens(office.way), "the change is not confirmed yet"
    office.site.shell("rm /run/wg-office/armed; date +%s >/run/handshake")
    until(lambda: not listens(office.way))
    until(lambda: office.site.run("ls -d /run/wg-office-bootstrap.*").returncode != 0)


# --- once, and not too late ----------------------------------------------------------------------------------------------------------


def test_a_script_that_was_used_says_so_to_the_second_and_changes_nothing_there(office: Office) -> None:
    script = office.script()
    stands(office, script)
    with Machine() as other:
        said = refused(other, script)
        assert re.fullmatch(
            rf"wg-office: this script was used already, at \d\d:\d\d UTC by the machine with the host key "
            rf"{re.escape(fingerprint(office.site.host_key))}. Nothing was changed here; ask for a new one\n",
            said,
        )
        assert "used already" in refused(office.site, script)
        assert office.hub.shell("cat /run/wg-office-bootstrap/a/enrolled").strip() == office.site.host_key


def test_two_who_use_it_at_once_are_one_who_is_let_in(office: Office) -> None:
    script = office.script()
    key = office.one_time_key(script)
    keys = f"{office.site.host_key}\n{office.site.host_key}\n"
    options = ["-oStrictHostKeyChecking=no", "-oUserKnownHostsFile=/dev/null", "-oLogLevel=ERROR", "-oIdentitiesOnly=yes"]
    command = ["ssh", "-F/dev/null", *options, f"-i{key}", f"-p{office.hub.port}", f"root@{LOOPBACK}"]
    with ExitStack() as running:
        process = partial(subprocess.Popen, command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        all_at_once = [running.enter_context(process()) for _ in range(4)]
        for one in all_at_once:
            assert one.stdin is not None
            one.stdin.write(keys)
            one.stdin.close()
        said = sorted(one.stdout.read().split()[0] for one in all_at_once if one.stdout is not None)
    assert said == ["enrolled", "used", "used", "used"]


def test_a_script_that_comes_too_late_says_so_and_the_operator_hears_that_nobody_came(office: Office) -> None:
    with office.invited() as (script, running):
        office.hub.shell(ENDS_THE_HOUR)
        assert office.hub.authorized == office.hub_before
        late = refused(office.site, script)
        said = running.communicate(timeout=240)
    assert re.search(r"does not take this script: it was good until \d{4}-\d\d-\d\d \d\d:\d\d UTC, and only until", late)
    assert (running.returncode, said[0]) == (4, "")
    assert said[1].splitlines()[-1].startswith("hub has no script out for a any more")


@pytest.mark.matrix
def test_sshd_itself_refuses_a_key_whose_hour_is_over(office: Office) -> None:
    """Where the timer has not run: the hub was off, or has lost it."""
    script = office.script()
    office.hub.shell('sed -i \'s/expiry-time="2[0-9]*"/expiry-time="20200101000000"/\' /root/.ssh/authorized_keys')
    assert "does not take this script" in refused(office.site, script)


def test_a_new_script_ends_the_earlier_one_and_the_way_that_it_made(office: Office) -> None:
    first = office.script()
    stands(office, first)
    second = office.script()
    until(lambda: not listens(office.way))
    with Machine() as other:
        assert "does not take this script" in refused(other, first)
        assert pasted(other, second).returncode == 0
        assert office.hub.authorized.count(" wg-office-bootstrap-a\n") == 2


@pytest.mark.matrix
def test_what_a_reboot_of_the_hub_leaves_behind_opens_nothing_and_goes_with_the_next_script(office: Office) -> None:
    script = office.script()
    office.hub.shell("rm -rf /run/wg-office-bootstrap /run/units")
    assert "wg-office: the hub did not do it" in refused(office.site, script)
    office.script()
    assert office.hub.authorized.count(" wg-office-bootstrap-a\n") == 1


# --- what the keys may do ------------------------------------------------------------------------------------------------------------


STAYS = "timeout 5 {ssh} -oExitOnForwardFailure=yes -N"
WANTED = {
    "a command": "timeout 30 {ssh} id </dev/null | grep uid=",
    "a terminal": "timeout 30 {ssh} -tt tty </dev/null | grep /dev/",
    "a port that answers there": "timeout 30 {ssh} -W 127.0.0.1:{port} </dev/null | grep SSH-",
    "a port that listens there": f"{STAYS} -R 127.0.0.1:{{other}}:127.0.0.1:{{port}}; [ $? = 124 ]",
    "a socket that answers there": (
        "timeout 20 {ssh} -N -L /run/s:/run/root.sock & for i in $(seq 100); do [ -S /run/s ] && break; sleep 0.1; done; "
        "SSH_AUTH_SOCK=/run/s timeout 10 ssh-add -l | grep 'The agent has no identities'; had=$?; kill $!; [ $had = 0 ]"
    ),
    "a socket that listens there": f"{STAYS} -R /run/mine:127.0.0.1:{{port}}; [ $? = 124 ]",
}
"""What somebody on site may want with an `ssh` to the hub. Each line ends with 0 where it is had."""


def may(office: Office, ssh: str) -> list[str]:
    """What of that is had with this `ssh`, which ends with the destination."""
    office.hub.shell("rm -f /run/root.sock /run/mine; ssh-agent -a /run/root.sock >/dev/null")
    office.site.shell("rm -f /run/s")
    lines = {what: line.format(ssh=ssh, port=office.hub.port, other=free_port()) for what, line in WANTED.items()}
    return [what for what, line in lines.items() if office.site.run(line).returncode == 0]


def with_key(office: Office, key: str) -> str:
    """An `ssh` to the hub, on site, with a private key."""
    office.site.run("cat >/run/key; chmod 600 /run/key", key)
    options = "-oBatchMode=yes -oStrictHostKeyChecking=no -oUserKnownHostsFile=/dev/null -oIdentitiesOnly=yes -oLogLevel=ERROR"
    return f"ssh -F/dev/null {options} -i/run/key -p{office.hub.port} root@{LOOPBACK}"


def test_the_scripts_key_opens_nothing_at_the_hub(office: Office) -> None:
    script = office.script()
    assert may(office, with_key(office, office.one_time_key(script).read_text())) == []


def test_the_ways_key_opens_nothing_at_the_hub_but_the_way(office: Office) -> None:
    stands(office, office.script())
    folder = office.site.shell("echo /run/wg-office-bootstrap.*").strip()
    assert may(office, with_key(office, office.site.shell(f"cat {folder}/way"))) == []
    office.site.shell(f"sed '/RemoteForward/d; /ExitOnForwardFailure/d' {folder}/config >{folder}/nothing-yet")
    assert may(office, f"ssh -F {folder}/nothing-yet inside") == []


@pytest.mark.matrix
def test_a_key_that_may_forward_one_port_through_the_hubs_own_sshd_would_have_root_listen_on_socket_files(office: Office) -> None:
    """Why the way has an sshd of its own (docs/adr/0012)."""
    key = new_key(office.folder / "forwarding")
    options = f'restrict,port-forwarding,permitlisten="{LOOPBACK}:{office.way}",permitopen="nothing.invalid:1",command="false"'
    office.hub.run("cat >>/root/.ssh/authorized_keys", f"{options} {key.with_suffix('.pub').read_text()}")
    assert may(office, with_key(office, key.read_text())) == ["a socket that listens there"]


@pytest.mark.matrix
def test_an_ordinary_key_opens_all_of_it(office: Office) -> None:
    assert may(office, with_key(office, office.key.read_text())) == list(WANTED)


@pytest.mark.matrix
def test_the_secret_is_in_the_script_alone(office: Office) -> None:
    with office.invited() as (script, running):
        secret = office.one_time_key(script).read_text().splitlines()[3]
        assert secret in script
        (out,) = office.folder.glob("script-*.sh")
        assert out.stat().st_mode & 0o777 == 0o600
        done = pasted(office.site, script)
        said = running.communicate(timeout=240)
    left = f"grep -rlF -e '{secret}' /run /root /etc/ssh 2>/dev/null || true"
    assert [office.hub.shell(left), office.site.shell(left)] == ["", ""]
    assert secret not in "".join((done.stdout, done.stderr, *said))


# --- what is in the way --------------------------------------------------------------------------------------------------------------


@pytest.mark.matrix
def test_a_hub_that_cannot_be_reached_from_the_site_does_not_use_the_script_up(office: Office) -> None:
    script = office.script()
    said = refused(office.site, re.sub(r"hub_port=\d+", f"hub_port={free_port()}", script))
    still_good = r"cannot be reached from here \(ssh: .*Connection refused\)\. Nothing was changed here, and the script is still good\n"
    assert re.search(still_good, said)
    stands(office, script)


def test_who_answers_with_another_key_than_the_hubs_is_not_told_anything(office: Office) -> None:
    script = office.script()
    with Machine() as impostor:
        said = refused(office.site, re.sub(r"hub_port=\d+", f"hub_port={impostor.port}", script))
        assert "shows another host key than the office's hub" in said
        assert "Accepted" not in impostor.shell("cat /run/sshd.log")
    stands(office, script)


@pytest.mark.matrix
def test_a_machine_that_cannot_do_it_yet_says_so_and_the_script_is_still_good(office: Office) -> None:
    script, settings = office.script(), office.site.shell("cat /etc/ssh/sshd_config")
    for wrong, words in {
        f"{settings}PermitRootLogin no\n": "sshd lets root in by no key here",
        f"{settings}AuthorizedKeysFile none\n": "sshd takes no keys from a file here",
        f"{settings}Nonsense\n": "sshd does not accept its own settings here",
        settings.replace("Port", "#Port"): "no SSH server with an ed25519 key answers here",
    }.items():
        office.site.run("cat >/etc/ssh/sshd_config", wrong)
        said = refused(office.site, script)
        assert words in said
        assert said.endswith("Nothing was changed here, and the script is still good\n")
    office.site.run("cat >/etc/ssh/sshd_config", settings)
    stands(office, script)


@pytest.mark.matrix
def test_a_hub_that_cannot_do_it_says_why_and_no_script_is_made(office: Office) -> None:
    office.hub.shell("echo AuthorizedKeysFile none >>/etc/ssh/sshd_config")
    done = office.run()
    assert (done.returncode, done.stdout) == (5, "")
    assert "z: root@127.0.0.1:" in done.stderr
    assert "sshd takes no keys from a file here (AuthorizedKeysFile)" in done.stderr
    assert office.hub.authorized == office.hub_before


@pytest.mark.matrix
def test_a_port_that_somebody_else_has_on_the_hub_is_not_taken(office: Office) -> None:
    with Machine(port=office.way):
        done = office.run()
    assert (done.returncode, done.stdout) == (5, "")
    assert f"port {office.way} is in use on the hub" in done.stderr
    assert office.hub.authorized == office.hub_before


@pytest.mark.matrix
def test_a_hub_that_does_not_answer_is_one_line_with_5(office: Office) -> None:
    office.hub.shell("kill $(cat /run/sshd.pid)")
    until(lambda: not listens(office.hub.port))
    done = office.run()
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (5, "", 1)
    assert "cannot be reached" in done.stderr


def test_another_key_that_is_written_down_already_is_not_overwritten_and_wait_goes_on(office: Office) -> None:
    other = f"[{LOOPBACK}]:{office.way} {office.hub.host_key}\n"
    with office.known.open("a") as known:
        known.write(other)
    before = office.known.read_text()
    with office.invited() as (script, running):
        pasted(office.site, script)
        said = running.communicate(timeout=240)
    assert (running.returncode, office.known.read_text()) == (1, before)
    assert f"has another key of [{LOOPBACK}]:{office.way} (line 2), and the machine that has called shows" in said[1]
    office.known.write_text(before.replace(other, ""))
    done = office.run("--wait")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert office.site.host_key in office.known.read_text()


@pytest.mark.matrix
def test_who_answers_already_needs_no_script(office: Office) -> None:
    stands(office, office.script())
    with office.known.open("a") as known:
        known.write(f"[{LOOPBACK}]:{office.way} {office.site.host_key}\n")
    done = office.run()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"a answers already, at root@{LOOPBACK}:{office.way} via hub: `pulumi up` sets it up\n"
    assert listens(office.way)


@pytest.mark.matrix
def test_the_json_says_the_same(office: Office) -> None:
    text = office.file.read_text().replace("known_hosts: known_hosts\n", "")
    office.file.write_text(text.replace(f"port: {office.hub.port}}}", f"port: {office.hub.port}, host_key: {office.hub.host_key}}}"))
    with office.invited("--json") as (script, running):
        pasted(office.site, script)
        said = running.communicate(timeout=240)
    assert running.returncode == 0, said
    data = json.loads(said[0])
    assert (data["gateway"], data["host_key"], data["known_hosts"], data["failure"]) == ("a", office.site.host_key, None, None)
    way = f"{{host: 127.0.0.1, port: {office.way}, via: hub, host_key: {office.site.host_key}}}"
    assert data["next"][0] == f"write for gateway a: ssh: {way}"
