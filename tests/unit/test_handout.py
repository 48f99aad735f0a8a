"""The hand-out as text and as a file: complete, self-contained, escaped, and readable for its owner only."""

from __future__ import annotations

import base64
import html
import io
import os
import re
import stat
import zipfile
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from wg_office.environment.model import Client, Environment
from wg_office.people.handout import HandoutError, QrTooLongError, handout_page, handout_zip, run_handout, write_secret
from wg_office.people.handout_page import QR_LONGEST, qr_svg, qr_text
from wg_office.people.handout_texts import EVIDENCE, GUIDES, HUB_IS_SILENT, NO_HANDSHAKE, NOT_CARRIED, OTHER_PORTS, TROUBLE
from wg_office.people.profiles import MISSING_PRIVATE_KEY, ClientKeys, profiles, render_profile

GOLDEN = Path(__file__).parents[1] / "golden" / "profiles"
KEYS = ClientKeys(
    hub_public_key="HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=",
    preshared_key="FpCyhws9cxwWoV4xELtfJvjJN+zQVRPISllRWgeopVE=",
    private_key="yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=",
)


def environment(case: str, **changes: Any) -> Environment:
    return Environment.model_validate(yaml.safe_load((GOLDEN / case / "environment.yaml").read_text(encoding="utf-8")) | changes)


def developer_of(env: Environment, name: str) -> Client:
    return next(each for each in env.clients if each.name == name)


def confs_of(env: Environment, name: str) -> dict[str, str]:
    developer = developer_of(env, name)
    keys = KEYS if developer.public_key is None else ClientKeys(KEYS.hub_public_key, KEYS.preshared_key)
    return {profile.kind: render_profile(profile, keys) for profile in profiles(env, developer)}


@cache
def page(case: str, name: str) -> str:
    env = environment(case)
    return handout_page(env, developer_of(env, name), confs_of(env, name))


class _Balance(HTMLParser):
    """Collects what a browser would have to repair, and each attribute that names an address."""

    VOID = frozenset({"meta", "link", "input", "path", "rect", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.faults: list[str] = []
        self.addresses: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for key, value in attrs if key in {"href", "src", "srcset", "action", "data", "poster"}]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.faults.append(tag)


def parsed(text: str) -> _Balance:
    parser = _Balance()
    parser.feed(text)
    return parser


EVERYBODY = [("article", name) for name in "efg"] + [("options", name) for name in ("linus", "maya", "wei", "ivy", "andy")]


# --- the page --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("case", "name"), EVERYBODY)
def test_the_page_is_well_formed_and_stands_alone(case: str, name: str) -> None:
    text = page(case, name)
    found = parsed(text)
    assert found.faults == []
    assert found.open == []
    assert "script" not in found.tags
    assert all(address.startswith("data:") for address in found.addresses)
    assert "url(" not in text
    assert "@import" not in text
    assert "default-src 'none'" in text


@pytest.mark.parametrize(("case", "name"), EVERYBODY)
def test_every_placeholder_is_filled_in(case: str, name: str) -> None:
    shown = re.sub(r"<style>.*?</style>", "", page(case, name), flags=re.DOTALL)
    assert re.findall(r"\$\w+|\{\w*\}", shown) == []


def test_every_file_is_there_to_save_and_to_read() -> None:
    env = environment("article")
    text = page("article", "e")
    confs = confs_of(env, "e")
    for profile in profiles(env, developer_of(env, "e")):
        conf = confs[profile.kind]
        assert (
            f'download="{profile.file_name}" href="data:application/octet-stream;base64,{base64.b64encode(conf.encode()).decode()}"' in text
        )
        assert f"<pre>{html.escape(conf)}</pre>" in text


def test_the_page_opens_on_the_developers_platform_and_in_the_chosen_language() -> None:
    env = environment("options")
    text = handout_page(env, developer_of(env, "wei"), confs_of(env, "wei"), "zh")
    assert re.findall(r'id="([a-z-]+)"[^>]* checked', text) == ["lang-zh", "os-windows"]


def test_a_page_for_a_system_that_is_not_named_opens_on_linux_and_claims_none() -> None:
    text = page("article", "e")
    assert re.findall(r'id="([a-z-]+)"[^>]* checked', text) == ["lang-en", "os-linux"]
    assert '<span class="sub">10.70.0.4</span>' in text


def test_the_secret_is_announced_in_both_languages() -> None:
    text = page("article", "e")
    assert "This page is a secret, like a password." in text
    assert "本页如同密码，请严格保密。" in text


def test_what_may_be_reached_is_what_is_granted() -> None:
    text = page("article", "f")
    assert "<code>192.168.200.244</code></td><td>22/tcp, 443/tcp</td>" in text
    assert "nc -vz 192.168.200.244 22" in text
    assert "Test-NetConnection 192.168.200.244 -Port 22" in text
    assert "Nothing yet. Ask for access." in page("article", "g")


def test_an_environment_without_offices_says_nothing_of_offices() -> None:
    assert "At the office" not in page("article", "g")
    assert "At the office" in page("article", "e")


def test_notes_of_a_profile_stand_beside_its_file() -> None:
    text = page("article", "f")
    assert "which you may not reach: the hub rejects what you send there." in text
    assert "您无权访问该网络" in text


def test_text_is_escaped() -> None:
    env = environment("article")
    confs = {name: text + "# <script>alert(1)</script>\n" for name, text in confs_of(env, "e").items()}
    assert "script" not in parsed(handout_page(env, developer_of(env, "e"), confs)).tags


def test_a_stack_that_is_older_than_the_file_is_refused() -> None:
    env = environment("article")
    confs = confs_of(env, "e")
    del confs["at-beijing"]
    with pytest.raises(HandoutError, match=r"no at-beijing file for e; run `pulumi up` first"):
        handout_page(env, developer_of(env, "e"), confs)


def test_who_brought_a_public_key_is_told_what_to_fill_in() -> None:
    text = page("options", "andy")
    assert f"<code>{MISSING_PRIVATE_KEY}</code>" in text
    assert "There is no QR code: the private key is known to you alone." in text
    assert 'class="qr"' not in text


def steps_of(text: str, platform: str) -> list[str]:
    """The steps of the part "Set up" of a platform, as plain words in English."""
    block = re.findall(rf'<div class="card os os-{platform}">.*?<ol class="steps">(.*?)</ol>', text, re.DOTALL)[0]
    english = re.sub(r'<span lang="zh">.*?</span>', "", block)
    return [html.unescape(re.sub(r"<[^>]+>", "", step)) for step in english.split("<li>")[1:]]


@pytest.mark.parametrize("platform", GUIDES)
def test_who_brought_a_public_key_saves_the_file_before_filling_it_in_and_then_switches_it_on(platform: str) -> None:
    steps = steps_of(page("options", "andy"), platform)
    order = [
        next(n for n, step in enumerate(steps) if word in step.lower()) for word in ("save ", "your own private key", IMPORTED[platform])
    ]
    assert order == sorted(set(order))


IMPORTED = {
    "linux": "switch it on",
    "macos": "import tunnel",
    "windows": "import tunnel",
    "ios": "create from file",
    "android": "import from file",
}


def test_on_linux_the_file_to_fill_in_is_where_the_step_before_has_put_it() -> None:
    steps = steps_of(page("options", "andy"), "linux")
    filling = next(step for step in steps if "your own private key" in step)
    (path,) = re.findall(r"sudoedit (\S+)", filling)
    assert path in steps[steps.index(filling) - 1]


def test_whoever_may_not_ping_the_hub_is_told_that_its_silence_is_no_fault() -> None:
    assert "The hub itself does not answer your ping." in page("article", "e")
    assert "The hub itself does not answer your ping." not in page("options", "linus")


def test_a_hub_that_is_called_hub_is_not_named_twice() -> None:
    for case, name, shown in (("options", "linus", "[2001:db8::10]:443"), ("article", "e", "z · 203.0.113.10:51820")):
        text = page(case, name)
        assert f'<span class="sub">{shown}</span>' in text
        assert "hub hub" not in text.lower()


def test_commands_for_linux_are_offered_to_linux_alone() -> None:
    env = environment("options")
    saved = re.findall(r'href="data:application/octet-stream;base64,([A-Za-z0-9+/=]+)"', page("options", "linus").split("Your files")[0])
    texts = [base64.b64decode(data).decode() for data in saved]
    whole = confs_of(env, "linus")["everyday"]
    assert texts.count(whole) == 1
    assert [text for text in texts if "PostUp" in text] == [whole]


def test_every_text_exists_in_both_languages() -> None:
    steps = [step.text for guide in GUIDES.values() for step in (*guide.setup, *guide.check, *guide.office)]
    troubles = [text for pair in (NO_HANDSHAKE, NOT_CARRIED, OTHER_PORTS, *TROUBLE) for text in pair]
    for text in [*steps, HUB_IS_SILENT, *EVIDENCE.values(), *troubles]:
        assert text.en
        assert text.en.isascii() or "…" in text.en
        assert re.search(r"[\u4e00-\u9fff]", text.zh)


# --- QR codes --------------------------------------------------------------------------------------------------------------------------


def test_a_code_holds_the_settings_without_comments_and_commands() -> None:
    text = qr_text(confs_of(environment("options"), "linus")["everyday"])
    assert "#" not in text
    assert "PostUp" not in text
    assert text.startswith("[Interface]\nPrivateKey = ")
    assert "\n\n" not in text


def test_a_text_that_no_phone_reads_is_a_clear_error() -> None:
    with pytest.raises(QrTooLongError, match=rf"has \d+ bytes, and a phone reads at most {QR_LONGEST}"):
        qr_svg("[Peer]\nAllowedIPs = " + ", ".join(f"10.{n}.0.0/16" for n in range(120)) + "\n", "long.conf")


def test_the_longest_text_that_is_allowed_still_makes_a_code() -> None:
    assert "<svg" in qr_svg("x" * (QR_LONGEST - 1), "x.conf")


def test_the_page_says_why_a_file_has_no_code() -> None:
    env = environment("article")
    confs = {name: text.replace("MTU = 1280", "MTU = 1280\n" + "Address = 10.0.0.1/32\n" * 40) for name, text in confs_of(env, "e").items()}
    assert f"a phone reads at most {QR_LONGEST} from a screen" in handout_page(env, developer_of(env, "e"), confs)


# --- the zip ---------------------------------------------------------------------------------------------------------------------------


def test_the_zip_holds_the_files_and_the_page_and_is_always_the_same() -> None:
    env = environment("article")
    confs = confs_of(env, "e")
    data = handout_zip(env, developer_of(env, "e"), confs)
    assert data == handout_zip(env, developer_of(env, "e"), dict(reversed(confs.items())))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.namelist() == ["dev-vpn.conf", "dev-x.conf", "dev-at-shenzhen.conf", "dev-at-beijing.conf", "handout.html"]
        assert {stat.S_IMODE(info.external_attr >> 16) for info in archive.infolist()} == {0o600}
        assert archive.read("dev-vpn.conf").decode() == confs["everyday"]
        assert archive.testzip() is None


# --- writing ---------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", [0o000, 0o022])
def test_the_file_is_readable_for_its_owner_only_whatever_the_umask(tmp_path: Path, mask: int) -> None:
    path = tmp_path / "handout.html"
    before = os.umask(mask)
    try:
        write_secret(path, b"secret")
    finally:
        os.umask(before)
    assert path.read_bytes() == b"secret"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_an_existing_file_is_replaced_only_by_force_and_is_then_private(tmp_path: Path) -> None:
    path = tmp_path / "handout.html"
    path.write_text("mine", encoding="utf-8")
    path.chmod(0o644)
    with pytest.raises(HandoutError, match="is there already; give --force"):
        write_secret(path, b"secret")
    assert path.read_text(encoding="utf-8") == "mine"
    write_secret(path, b"secret", force=True)
    assert path.read_bytes() == b"secret"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_symlink_is_not_followed(tmp_path: Path) -> None:
    target, path = tmp_path / "target", tmp_path / "handout.html"
    target.write_text("mine", encoding="utf-8")
    path.symlink_to(target)
    with pytest.raises(HandoutError, match="is there already"):
        write_secret(path, b"secret")
    write_secret(path, b"secret", force=True)
    assert not path.is_symlink()
    assert target.read_text(encoding="utf-8") == "mine"


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(HandoutError, match=r"cannot be written: No such file or directory; choose another place"):
        write_secret(tmp_path / "nowhere" / "handout.html", b"secret")


@pytest.mark.parametrize(("as_zip", "start"), [(False, b"<!doctype html>"), (True, b"PK")])
def test_the_command_writes_what_was_asked_for(tmp_path: Path, as_zip: bool, start: bytes) -> None:
    env = environment("article")
    path = run_handout(env, developer_of(env, "e"), confs_of(env, "e"), tmp_path / "out", as_zip=as_zip)
    assert path.read_bytes().startswith(start)


def test_further_ports_of_the_hub_are_told_and_the_file_has_the_standard_one() -> None:
    env = environment("article")
    several = env.model_copy(update={"hub": env.hub.model_copy(update={"also_on": (443, 53)})})
    developer = developer_of(several, "e")
    text = handout_page(several, developer, confs_of(several, "e"))
    assert "The same server answers at further ports: 443, 53. In the tunnel's settings, at the end of <code>Endpoint</code>" in text
    assert "同一服务器还接受以下端口：443, 53" in text
    assert f"Endpoint = {env.hub.endpoint}" in text
    assert "further ports" not in page("article", "e")


def test_whose_tunnel_is_carried_by_a_program_is_sent_to_it_and_to_no_other_port_or_network() -> None:
    env = environment("devices")
    several = env.model_copy(update={"hub": env.hub.model_copy(update={"also_on": (443, 53)})})
    shown = handout_page(several, developer_of(several, "wei"), confs_of(several, "wei"))
    assert "from <code>127.0.0.1:51820</code> to the server must be running" in shown
    assert "further ports" not in shown
    assert "hotspot" not in shown
