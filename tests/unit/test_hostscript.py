"""The host script's text and the command lines that start it."""

import re

from netaddr import IPAddress

from wg_office import hostscript


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
