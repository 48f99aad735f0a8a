"""What the program relies on of remote.Command, whichever plugin runs: through the real engine, against a real sshd on loopback.

Texts are asserted as far as components/ reads them; how the stand-in words things is test_stand_in_command.py.
"""

import os
import signal
import subprocess
from pathlib import Path

import pytest
from remote_host import HostFactory, hosts_on
from sshd import Sshd, free_port
from stacks import StackFactory, told_to_end, wait_for


@pytest.fixture
def host(stack_factory: StackFactory, sshd: Sshd) -> HostFactory:
    return hosts_on(stack_factory, sshd)


def test_create_update_and_delete_run_their_commands_with_their_stdin(host: HostFactory) -> None:
    one = host(
        create="cat >$WG_TEST_HOME/created; echo made",
        update="cat >$WG_TEST_HOME/updated",
        delete="cat >$WG_TEST_HOME/deleted",
        stdin="a\nb\n",
    )
    one.stack.up()
    assert (one.server.home / "created").read_text() == "a\nb\n"
    assert one.stack.outputs()["stdout"] == "made"
    one.change(stdin="a\nc\n")
    one.stack.up()
    assert (one.server.home / "updated").read_text() == "a\nc\n"
    one.stack.destroy()
    assert (one.server.home / "deleted").read_text() == "a\nc\n", "a delete gets the recorded stdin"
    assert one.server.dials == 3, "each operation dials once"


def test_an_update_without_an_update_command_runs_create(host: HostFactory) -> None:
    one = host(create="cat >>$WG_TEST_HOME/log", stdin="1")
    one.stack.up()
    one.change(stdin="2")
    one.stack.up()
    assert (one.server.home / "log").read_text() == "12"
    one.stack.destroy()
    assert one.server.dials == 2, "without a delete command, destroy does not dial"


def test_a_preview_and_an_unchanged_up_dial_nobody(host: HostFactory) -> None:
    one = host(create="cat", stdin="one\ntwo\n")
    assert "1 to create" in one.stack.preview() or "2 to create" in one.stack.preview()
    assert one.server.dials == 0
    one.stack.up()
    one.stack.up()
    assert one.server.dials == 1
    one.change(stdin="one\nthree\n")
    changed = one.stack.preview()
    assert "- two" in changed
    assert "+ three" in changed
    assert one.server.dials == 1


def test_a_megabyte_of_stdin_arrives_whole(host: HostFactory) -> None:
    text = "".join(f"{number:063d}\n" for number in range(16384))
    one = host(create="cat >$WG_TEST_HOME/big; wc -c <$WG_TEST_HOME/big", stdin=text)
    one.stack.up()
    assert (one.server.home / "big").read_text() == text
    assert one.stack.outputs()["stdout"] == str(1 << 20)


def test_a_failing_command_tells_its_status_its_text_and_what_it_said(host: HostFactory) -> None:
    one = host(create="echo out; echo 'it is broken' >&2; exit 3", stdin="")
    said = one.stack.up(fails=True)
    assert "exited with status 3:" in said
    assert "it is broken" in said
    assert one.stack.resources("command:remote:Command") == [], "a failed create leaves nothing in the state"


def test_a_failed_update_keeps_the_old_inputs(host: HostFactory) -> None:
    one = host(create="true", update="exit 1", stdin="old")
    one.stack.up()
    one.change(stdin="new")
    one.stack.up(fails=True)
    assert one.recorded()["inputs"]["stdin"] == "old"


def test_a_wrong_host_key_is_refused_and_nothing_runs(host: HostFactory, second_sshd: Sshd) -> None:
    one = host(create="touch $WG_TEST_HOME/ran")
    one.reconnect(host_key=second_sshd.host_key, dial_error_limit=0)
    said = one.stack.up(fails=True)
    assert "handshake failed" in said
    assert "host key" in said
    assert not (one.server.home / "ran").exists()
    assert one.server.dials == 0


def test_a_key_that_the_server_does_not_know_is_refused(host: HostFactory, second_sshd: Sshd) -> None:
    one = host(create="true")
    one.reconnect(private_key=second_sshd.private_key, dial_error_limit=0)
    assert "unable to authenticate" in one.stack.up(fails=True)
    assert one.server.dials == 0


def test_an_unreachable_port_is_dialled_again_and_then_named(host: HostFactory) -> None:
    one = host(create="true")
    port = free_port()
    one.reconnect(port=port, dial_error_limit=4)
    assert f"after 4 failed attempts: dial tcp 127.0.0.1:{port}" in one.stack.up(fails=True)


def test_a_server_that_comes_up_between_two_dials_is_reached(host: HostFactory) -> None:
    one = host(create="echo late")
    one.server.stop()
    one.reconnect(dial_error_limit=-1)
    process = one.stack.start("up", "--yes", "--skip-preview")
    # The engine shows this line once the first dial has failed, so the server is certainly late.
    assert process.stdout is not None
    for line in process.stdout:
        if "failed: retrying" in line:
            break
    one.server.start()
    process.communicate(timeout=120)
    assert process.returncode == 0
    assert one.stack.outputs()["stdout"] == "late"


def test_a_session_that_is_killed_half_way_is_no_exit_status(host: HostFactory) -> None:
    one = host(create="touch $WG_TEST_HOME/running; sleep 600")
    process = one.stack.start("up", "--yes", "--skip-preview")
    wait_for(one.server.home / "running", process)
    for session in one.server.sessions():
        os.kill(session, signal.SIGKILL)
    said, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "exited without exit status" in said
    assert "exited with status" not in said


def test_a_command_ended_by_a_signal_is_told_as_such(host: HostFactory) -> None:
    one = host(create="kill -KILL $$")
    assert "exited with status 137" in one.stack.up(fails=True)


def test_the_error_hook_confirms_over_a_second_connection(host: HostFactory) -> None:
    script = (
        'cd $WG_TEST_HOME; want=$(cat); if [ "$(cat pending 2>/dev/null)" = "$want" ]; then mv pending active; exit 0; fi; '
        'echo "$want" >pending; exit 75'
    )
    one = host(create=script, stdin="first", confirm=True)
    said = one.stack.up()
    assert "on-error hook request" in said
    assert (one.server.home / "active").read_text() == "first\n"
    assert one.server.dials == 2
    one.change(stdin="second")
    one.stack.up()
    assert (one.server.home / "active").read_text() == "second\n"
    assert one.recorded()["inputs"]["stdin"] == "second"
    assert one.server.dials == 4


def test_the_error_hook_does_not_confirm_what_failed_otherwise(host: HostFactory) -> None:
    one = host(create="exit 74", confirm=True)
    assert "exited with status 74:" in one.stack.up(fails=True)
    assert one.server.dials == 1


def test_a_secret_stdin_is_nowhere_to_be_seen(host: HostFactory, tmp_path: Path) -> None:
    secret = "c2VjcmV0LXN0ZGluLW9mLXRoZS10ZXN0"
    one = host(
        create="cat >/dev/null; touch $WG_TEST_HOME/running; while [ -e $WG_TEST_HOME/running ]; do sleep 0.05; done",
        stdin=secret,
        secret_stdin=True,
    )
    process = one.stack.start("up", "--yes", "--skip-preview", "--debug")
    wait_for(one.server.home / "running", process)
    argv, environs = processes()
    (one.server.home / "running").unlink()
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert secret not in argv
    assert secret not in environs
    assert secret not in said
    assert secret not in one.stack.state()
    assert secret not in one.stack.preview()
    kept = [
        path for path in one.stack.folder.rglob("*") if path.is_file() and path.name != "arguments.json" and "plugins" not in path.parts
    ]
    assert not [path for path in kept if secret.encode() in path.read_bytes()]
    assert secret in one.stack.pulumi("stack", "export", "--show-secrets"), "the searches above would have found it"


def processes() -> tuple[str, str]:
    """All command lines and all environments on this machine, as far as we may read them."""
    texts = {"cmdline": "", "environ": ""}
    for folder in Path("/proc").glob("[0-9]*"):
        for name in texts:
            try:
                texts[name] += (folder / name).read_text(errors="replace")
            except OSError:
                continue
    assert "pytest" in texts["cmdline"], "the search would have found something"
    return texts["cmdline"], texts["environ"]


def test_logging_none_keeps_the_output_from_the_terminal(host: HostFactory) -> None:
    one = host(create="echo visible-line")
    assert "visible-line" in one.stack.up()
    one.change(create="echo hidden-line", logging="none")
    said = one.stack.up("--suppress-outputs")
    assert "hidden-line" not in said.replace("echo hidden-line", "")
    assert one.stack.outputs()["stdout"] == "hidden-line"


def test_a_proxy_is_one_hop_with_a_host_key_of_its_own(host: HostFactory, second_sshd: Sshd) -> None:
    proxy = {name: value for name, value in second_sshd.connection().items()}
    one = host(create="echo through")
    one.reconnect(proxy=proxy)
    one.stack.up()
    assert one.stack.outputs()["stdout"] == "through"
    assert second_sshd.dials == 1
    one.reconnect(proxy={**proxy, "host_key": one.server.host_key, "dial_error_limit": 0})
    assert "host key" in one.stack.up(fails=True)
    assert second_sshd.dials == 1


def test_the_agent_is_used_and_a_dead_one_is_an_error(host: HostFactory, tmp_path: Path) -> None:
    agent = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(agent)], stdout=subprocess.DEVNULL)
    one = host(create="echo by-agent")
    try:
        wait_for(agent)
        added = {**os.environ, "SSH_AUTH_SOCK": str(agent)}
        subprocess.run(["ssh-add", "-q", str(one.server.folder / "client")], env=added, check=True, capture_output=True)
        one.reconnect(private_key=None)
        one.stack.up(SSH_AUTH_SOCK=str(agent))
        assert one.stack.outputs()["stdout"] == "by-agent"
    finally:
        process.terminate()
        process.wait()
    one.change(create="echo again")
    one.reconnect()
    assert f"dial unix {tmp_path}/nobody" in one.stack.up(fails=True, SSH_AUTH_SOCK=f"{tmp_path}/nobody")


def test_an_interrupted_up_ends_and_leaves_no_process(host: HostFactory) -> None:
    one = host(create="true")
    told_to_end(one.start_dialling_nobody(), one.stack.folder)
