"""The hand-out's page: what takes a developer from nothing to a working tunnel, in a browser, on a laptop or a phone.

The page stands alone. It asks for nothing from outside (its content policy forbids it), runs no script, and works from a file.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from string import Template
from typing import Literal

import segno
from netaddr import IPNetwork

from wg_office.environment.fields import Moment
from wg_office.environment.model import Client, Environment, Platform
from wg_office.network.access import Permission, Place, Ports, peer_addresses, permissions
from wg_office.people.apple import Signs, mobileconfig, signs_of
from wg_office.people.apple import file_name as apple_file
from wg_office.people.handout_texts import (
    BY_ITSELF,
    BY_NAME,
    BY_SERVER,
    DOWNLOAD,
    EVIDENCE,
    FILL_IN,
    FILL_IN_LINUX,
    GUIDES,
    HUB_IS_SILENT,
    INSTALL_PROFILE,
    NO_HANDSHAKE,
    NOT_CARRIED,
    NOT_TRIED,
    OTHER_OFFICES,
    OTHER_PORTS,
    PURPOSE,
    SIGNS,
    TROUBLE,
    Step,
    Text,
)
from wg_office.people.profiles import AT, EVERYDAY, EXACT, MISSING_PRIVATE_KEY, Profile, portable, profiles

Language = Literal["en", "zh"]

QR_LONGEST = 1000
"""Bytes. A code of this length has 105 modules a side, which a phone still reads from a screen; the standard's own limit is 2953."""

_LANGUAGES: tuple[Language, ...] = ("en", "zh")


class HandoutError(Exception):
    """The hand-out cannot be made or written; the message is one sentence with a remedy."""


class QrTooLongError(HandoutError):
    """The text does not fit into a QR code that a phone can read."""


# --- QR codes --------------------------------------------------------------------------------------------------------------------------


def qr_text(conf: str) -> str:
    """What a phone needs of a file: no comments, no empty lines, and no commands, which phones refuse."""
    lines = [line.strip() for line in conf.splitlines()]
    return "\n".join(line for line in lines if line and not line.startswith(("#", "PostUp"))) + "\n"


def qr_svg(conf: str, label: str) -> str:
    """The code as an inline picture. Low error correction: a screen has no scratches, and fewer modules are read more easily."""
    text = qr_text(conf)
    size = len(text.encode())
    if size > QR_LONGEST:
        raise QrTooLongError(f"the file has {size} bytes, and a phone reads at most {QR_LONGEST} from a QR code; import the file instead")
    code = segno.make_qr(text, error="l", boost_error=False)
    svg = code.svg_inline(scale=4, border=4, dark="#000", light="#fff", svgclass="qr", lineclass=None, omitsize=True)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{html.escape(label)}" ', 1)


# --- the page --------------------------------------------------------------------------------------------------------------------------


def handout_page(env: Environment, client: Client, confs: Mapping[str, str], language: Language = "en") -> str:
    """The page, in both languages; `language` is the one it opens in."""
    paired = paired_files(env, client, confs)
    template = Template((Path(__file__).parent / "handout_page.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=html.escape(f"{env.environment} · {client.called}"),
        environment=html.escape(env.environment),
        tab_rules=_tab_rules(),
        choices=_choices(client.platform or "linux", language),
        headline=_both(Text("Your way into the office", "连接办公室网络")),
        lead=_for(
            client,
            Text(
                f"A WireGuard tunnel for *{{who}}* to the network *{env.environment}*. Ten minutes, three steps: set up, check, done.",
                f"为 *{{who}}* 准备的 WireGuard 隧道，连接网络 *{env.environment}*。三步即可：设置、检查、完成，约十分钟。",
            ),
        )
        + _end(client),
        way=_way(env, client, paired),
        secret=_both(
            Text(
                "*This page is a secret, like a password.* It holds the key to the office. Do not forward it, "
                "and delete it when you are set up. The keys are for one device.",
                "*本页如同密码，请严格保密。* 其中包含进入办公室网络的密钥。请勿转发，设置完成后请删除。密钥仅供一台设备使用。",
            )
        ),
        sections="\n".join(_sections(env, client, paired)),
        footer=_for(
            client,
            Text(
                "Made by wg-office for {who}. Only one of these tunnels may be on at a time.",
                "由 wg-office 为 {who} 生成。这些隧道同一时间只能启用一个。",
            ),
        ),
    )


def _for(client: Client, text: Text) -> str:
    """A text about whoever it is for. A title is put in last: nothing in it is taken for marks of ours."""
    return _both(text).replace("{who}", _called(client.called))


def _called(name: str) -> str:
    """Whatever way it is written in, the text around it keeps its own."""
    return f"<bdi>{html.escape(name)}</bdi>"


def _end(client: Client) -> str:
    if client.until is None:
        return ""
    return _both(Text(f" *It ends {client.until}*, by itself.", f" *将于 {client.until} 自动失效。*"))


Paired = list[tuple[Profile, str]]


def paired_files(env: Environment, client: Client, confs: Mapping[str, str]) -> Paired:
    """The profiles with their texts. A stack that is older than the environment file must not give out half a page."""
    made = profiles(env, client)
    missing = [profile.kind for profile in made if profile.kind not in confs]
    if missing:
        raise HandoutError(f"the stack has no {', '.join(missing)} file for {client.name}; run `pulumi up` first")
    return [(profile, confs[profile.kind]) for profile in made]


def _sections(env: Environment, client: Client, paired: Paired) -> list[str]:
    sites = [profile for profile, _ in paired if profile.site is not None]
    theirs = (item for item in permissions(env) if item.source.kind == "developer" and item.source.holds(client.address))
    granted = [_elsewhere(item, peer_addresses(env, client)) for item in theirs]
    made: list[tuple[Text, str]] = [
        (Text("Set up", "设置"), _tabs() + _per_platform(lambda platform: _setup(platform, client, paired))),
        (Text("Check that it works", "检查是否正常"), _per_platform(lambda platform: _check(platform, env, paired, granted))),
    ]
    if sites:
        at_the_office = _per_platform(lambda each: _at_the_office(each, env, paired, sites) + _by_itself(each, env, client, paired))
        made.append((Text("At the office", "在办公室"), at_the_office))
    made.append((Text("What you may reach", "您可以访问的范围"), _reach(env, granted)))
    made.append((Text("Your files", "您的配置文件"), "".join(_file(profile, text) for profile, text in paired)))
    made.append((Text("If something does not work", "遇到问题时"), _trouble(env, client, paired)))
    return [f"<section><h2>{_number(index)}{_both(title)}</h2>{body}</section>" for index, (title, body) in enumerate(made, 1)]


def _elsewhere(item: Permission, own: tuple[IPNetwork, ...]) -> Permission:
    """What a device may reach of a person's devices, where those are its owner's, is the others."""
    networks = tuple(network for network in item.destination.networks if network not in own)
    return replace(item, destination=replace(item.destination, networks=networks))


def _number(index: int) -> str:
    return f'<span class="no">{index:02d}</span>'


def _way(env: Environment, client: Client, paired: Paired) -> str:
    sites = {profile.site for profile, _ in paired}
    offices = [site.site_name for site in env.active_sites if site.site in sites]
    office_names = ", ".join(offices)
    device = [GUIDES[client.platform].label] if client.platform is not None else []
    stops = [
        (Text("Your device", "您的设备"), " · ".join([*device, str(client.address)])),
        (Text("The hub", "中心服务器"), " · ".join([*([env.hub.name] if env.hub.name != "hub" else []), str(env.hub.endpoint)])),
        (Text("The office" if len(offices) == 1 else "The offices", "办公室"), office_names or "–"),
    ]
    return "".join(f'<li><b>{_both(title)}</b><span class="sub">{html.escape(detail)}</span></li>' for title, detail in stops)


# --- per platform ----------------------------------------------------------------------------------------------------------------------


def _choices(platform: Platform, language: Language) -> str:
    """The page's only state: two groups of radio buttons that the style sheet looks at."""
    names = {"en": "English", "zh": "中文"}
    buttons: list[tuple[str, str, str, bool]] = [("lang", key, names[key], key == language) for key in _LANGUAGES]
    buttons += [("os", key, guide.label, key == platform) for key, guide in GUIDES.items()]
    return "\n".join(
        f'<input class="choice" type="radio" name="{group}" id="{group}-{key}" aria-label="{label}"{" checked" if checked else ""}>'
        for group, key, label, checked in buttons
    )


def _tab_rules() -> str:
    shown = ", ".join(f"#os-{key}:checked ~ .page .os-{key}" for key in GUIDES)
    chosen = ", ".join(f'#os-{key}:checked ~ .page label[for="os-{key}"]' for key in GUIDES)
    focused = ", ".join(f'#os-{key}:focus-visible ~ .page label[for="os-{key}"]' for key in GUIDES)
    return (
        f"{shown} {{ display: block; }}\n"
        f"{chosen} {{ background: var(--accent); border-color: var(--accent); color: var(--accent-ink); font-weight: 600; }}\n"
        f"{focused} {{ outline: 2px solid var(--accent); outline-offset: 2px; }}"
    )


def _tabs() -> str:
    return (
        '<div class="tabs">'
        + "".join(f'<label for="os-{key}">{html.escape(guide.label)}</label>' for key, guide in GUIDES.items())
        + "</div>"
    )


def _per_platform(body: Callable[[Platform], str]) -> str:
    return "".join(f'<div class="card os os-{platform}">{body(platform)}</div>' for platform in GUIDES)


def _start_with(platform: Platform, paired: Paired) -> tuple[Profile, str]:
    """The file for a platform, which need not be the one that the environment file names: people show the page to their phone."""
    wanted = EXACT if platform == "android" else EVERYDAY
    return next(((profile, text) for profile, text in paired if profile.kind == wanted), paired[0])


def _setup(platform: Platform, client: Client, paired: Paired) -> str:
    profile, text = _start_with(platform, paired)
    words = _words(profile, paired)
    steps = list(GUIDES[platform].setup)
    if MISSING_PRIVATE_KEY in text:
        steps = _with_own_key(platform, steps)
    take = _download(profile, text if platform == client.platform == "linux" else portable(text), "button")
    phone = platform in ("ios", "android")
    return f'<div class="take">{take}</div>{_steps(steps, words)}{_qr(profile, text) if phone else ""}'


def _with_own_key(platform: Platform, steps: list[Step]) -> list[Step]:
    """On a phone the file is imported, since a code cannot hold a key that only its owner has."""
    if platform in ("ios", "android"):
        into = Step(
            Text(
                "In the app press *+*, choose *Create from file or archive* (Android: *Import from file or archive*), "
                "and switch the tunnel on.",
                "在应用中点按 *+*，选择 *导入配置或压缩包*，然后打开开关。",
            )
        )
        return [steps[0], DOWNLOAD, FILL_IN, into]
    # The second step is the one that saves the file.
    return [*steps[:2], FILL_IN_LINUX if platform == "linux" else FILL_IN, *steps[2:]]


def _check(platform: Platform, env: Environment, paired: Paired, granted: list[Permission]) -> str:
    profile, _ = _start_with(platform, paired)
    guide = GUIDES[platform]
    steps = [*guide.check, *_reach_steps(platform, granted)]
    if guide.route is not None and any(each.site for each, _ in paired):
        steps.append(guide.route)
    silent = "" if _may_ping_the_hub(env, granted) else f'<p class="hint">{_both(HUB_IS_SILENT)}</p>'
    return _steps(steps, _words(profile, paired, env)) + silent


def _may_ping_the_hub(env: Environment, granted: list[Permission]) -> bool:
    to_hub = [item for item in granted if (item.destination.kind, item.destination.name) == ("host", env.hub.name)]
    return any(not item.ports or "icmp" in map(str, item.ports) for item in to_hub)


def _reach_steps(platform: Platform, granted: list[Permission]) -> list[Step]:
    """One thing that the developer is sure to be let through to, taken from what is granted."""
    for item in granted:
        network = item.destination.networks[0]
        single = network.size == 1
        address = str(network.ip) if single else "ADDRESS"
        ask = Text("Something that you may reach answers.", "您有权访问的目标有响应。")
        if not single:
            where = f"{network}"
            ask = Text(
                f"A device that you know in `{where}` answers. Put its address in place of `ADDRESS`.",
                f"`{where}` 中您熟悉的某台设备有响应。请将 `ADDRESS` 换成其地址。",
            )
        tcp = next((port for port in item.ports if str(port).endswith("/tcp")), None)
        if platform in ("ios", "android"):
            return [
                Step(
                    Text(
                        f"An app of yours reaches `{address if single else network}`.",
                        f"您的应用可以访问 `{address if single else network}`。",
                    )
                )
            ]
        if not item.ports or any(str(port) == "icmp" for port in item.ports):
            return [Step(ask, f"ping {address}")]
        if tcp is not None:
            port = str(tcp).partition("/")[0].partition("-")[0]
            return [Step(ask, f"Test-NetConnection {address} -Port {port}" if platform == "windows" else f"nc -vz {address} {port}")]
    return []


def _at_the_office(platform: Platform, env: Environment, paired: Paired, sites: list[Profile]) -> str:
    profile, _ = _start_with(platform, paired)
    guide = GUIDES[platform]
    badge = f'<p class="badge {guide.evidence}">{_both(EVIDENCE[guide.evidence])}</p>'
    steps = list(guide.office)
    if guide.route is not None:
        ask = Text(
            "To see it, ask for the way to a device there. It should name your network card.",
            "如需确认，可查询到该办公室设备的路由，应显示您的网卡。",
        )
        steps.insert(1, Step(ask, guide.route.command))
    shown = "".join(f"<li>{_step(step, _words(profile, paired, env))}</li>" for step in steps)
    label = f'<span class="hint">{_both(Text("One file per office:", "各办公室的配置："))}</span>'
    offices = "".join(_download(each, portable(dict(paired)[each]), "button quiet") for each in sites)
    return f'{badge}<ul class="plain">{shown}</ul><div class="take last">{label}{offices}</div>'


def _by_itself(platform: Platform, env: Environment, client: Client, paired: Paired) -> str:
    """For Apple devices the configuration profile, where there is one."""
    if platform not in ("macos", "ios"):
        return ""
    profile, text = _start_with(platform, paired)
    data = mobileconfig(env, client, profile, text, platform)
    if data is None:
        return ""
    name = apple_file(profile, platform)
    words = {"name": profile.name, "file": name}
    several = f'<p class="hint">{_both(OTHER_OFFICES)}</p>' if sum(each.site is not None for each, _ in paired) > 1 else ""
    steps = _steps(list(INSTALL_PROFILE[platform]), words)
    hints = f'{several}<p class="hint">{_both(NOT_TRIED)}</p>'
    known_by = f"<p>{_both(SIGNS, words)} {_known_by(signs_of(env, client))}</p>"
    return f'<h3>{_both(BY_ITSELF)}</h3>{known_by}<div class="take">{_save(name, data, "button quiet")}</div>{steps}{hints}'


def _known_by(signs: Signs) -> str:
    """The names of Wi-Fi are somebody's own words: nothing in them is taken for marks of ours."""
    kinds = ((BY_SERVER, signs.servers), (BY_NAME, signs.wifi))
    return " ".join(f"{_both(kind)} {_codes(names)}." for kind, names in kinds if names)


def _codes(names: tuple[str, ...]) -> str:
    return ", ".join(f"<code><bdi>{html.escape(name)}</bdi></code>" for name in names)


def _words(profile: Profile, paired: Paired, env: Environment | None = None) -> dict[str, str]:
    site = next((each for each, _ in paired if each.site is not None), None)
    target = ""
    if env is not None and site is not None and site.site is not None:
        lan = env.gateway_of(site.site).own_prefixes[0]  # as its machines have it: there the cable leads to them
        target = str(lan[min(77, lan.size - 1)])
    return {
        "name": profile.name,
        "file": profile.file_name,
        "target": target,
        "missing": MISSING_PRIVATE_KEY,
    }


# --- what is reached, files, trouble ---------------------------------------------------------------------------------------------------


def _reach(env: Environment, granted: list[Permission]) -> str:
    if not granted:
        return f'<div class="card"><p>{_both(Text("Nothing yet. Ask for access.", "目前没有。请申请访问权限。"))}</p></div>'
    heads = "".join(f"<th>{_both(text)}</th>" for text in (Text("Where", "目标"), Text("Addresses", "地址"), Text("What", "内容")))
    called = {developer.name: developer.called for developer in env.developers}
    rows = "".join(
        _row(place, called.get(place.name, place.name), ports, until)
        for place, ports, until in dict.fromkeys((item.destination, item.ports, item.until) for item in granted)
    )
    return f'<div class="card"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'


def _row(place: Place, called: str, ports: Ports, until: Moment | None) -> str:
    kinds = {"site": Text("Office", "办公室"), "developer": Text("Developer", "开发者"), "host": Text("Host", "主机")}
    addresses = ", ".join(str(network.ip) if network.size == 1 else str(network) for network in place.networks)
    what = html.escape(", ".join(map(str, ports))) if ports else _both(Text("everything", "全部"))
    what += "" if until is None else _both(Text(f", until {until}", f"，有效期至 {until}"))
    return f"<tr><td>{_both(kinds[place.kind])} <b>{_called(called)}</b></td><td><code>{addresses}</code></td><td>{what}</td></tr>"


def _file(profile: Profile, text: str) -> str:
    purpose = PURPOSE[AT.rstrip("-") if profile.site else profile.kind]
    words = {"site": profile.site or ""}
    notes = "".join(f"<li>{_both(Text(note.en, note.zh))}</li>" for note in profile.notes)
    head = f'<div class="head"><h3>{html.escape(profile.file_name)}</h3>{_download(profile, text, "button quiet")}</div>'
    listed = f'<ul class="notes">{notes}</ul>' if notes else ""
    shown = _details(Text("Show the text", "显示文本"), f"<pre>{html.escape(text)}</pre>")
    code = _details(Text("Show the QR code", "显示二维码"), _qr(profile, text))
    return f'<div class="card">{head}<p>{_both(purpose, words)}</p>{listed}{shown}{code}</div>'


def _trouble(env: Environment, client: Client, paired: Paired) -> str:
    endpoint = paired[0][0].endpoint
    words = {"endpoint": endpoint, "port": str(env.hub.endpoint.port), "others": ", ".join(map(str, env.hub.also_on))}
    first = [NO_HANDSHAKE, *([OTHER_PORTS] if env.hub.also_on else [])] if client.endpoint is None else [NOT_CARRIED]
    listed = [*first, *TROUBLE]
    items = "".join(f"<dt>{_both(question, words)}</dt><dd>{_both(answer, words)}</dd>" for question, answer in listed)
    return f'<div class="card"><dl>{items}</dl></div>'


# --- pieces ----------------------------------------------------------------------------------------------------------------------------


def _download(profile: Profile, text: str, style: str) -> str:
    return _save(profile.file_name, text.encode(), style)


def _save(name: str, data: bytes, style: str) -> str:
    # Not text/plain: phones would add .txt to the name, and the apps then refuse the file.
    href = f"data:application/octet-stream;base64,{base64.b64encode(data).decode()}"
    return f'<a class="{style}" download="{html.escape(name)}" href="{href}">{_both(Text(f"Save {name}", f"保存 {name}"))}</a>'


def _qr(profile: Profile, text: str) -> str:
    if MISSING_PRIVATE_KEY in text:
        reason = Text("There is no QR code: the private key is known to you alone.", "没有二维码：私钥只有您自己知道。")
        return f'<p class="hint">{_both(reason)}</p>'
    try:
        svg = qr_svg(text, profile.file_name)
    except QrTooLongError:
        size = len(qr_text(text).encode())
        reason = Text(
            f"There is no QR code: the file has {size} bytes, and a phone reads at most {QR_LONGEST} from a screen. "
            "Import the file instead.",
            f"没有二维码：配置有 {size} 字节，而手机最多能从屏幕读取 {QR_LONGEST} 字节。请改为导入文件。",
        )
        return f'<p class="hint">{_both(reason)}</p>'
    caption = _both(Text(f"Name it `{profile.name}` when the app asks.", f"应用询问名称时，请填写 `{profile.name}`。"))
    return f"<figure>{svg}<figcaption>{caption}</figcaption></figure>"


def _details(title: Text, body: str) -> str:
    return f"<details><summary>{_both(title)}</summary>{body}</details>"


def _steps(steps: list[Step], words: Mapping[str, str]) -> str:
    return '<ol class="steps">' + "".join(f"<li>{_step(step, words)}</li>" for step in steps) + "</ol>"


def _step(step: Step, words: Mapping[str, str]) -> str:
    command = "" if step.command is None else f"<pre>{html.escape(_fill(step.command, words))}</pre>"
    return _both(step.text, words) + command


def _both(text: Text, words: Mapping[str, str] | None = None) -> str:
    """Both languages of a text; the style sheet shows one of them."""
    return "".join(f'<span lang="{language}">{_marked(_fill(each, words))}</span>' for language, each in zip(_LANGUAGES, text, strict=True))


def _fill(text: str, words: Mapping[str, str] | None) -> str:
    return text if words is None else re.sub(r"\{(\w+)\}", lambda match: words[match[1]], text)


def _marked(text: str) -> str:
    """`code` and *label*, in text that is escaped first."""
    escaped = html.escape(text, quote=False)
    escaped = re.sub(r"`([^`]+)`", r"<code>\1</code>", escaped)
    return re.sub(r"\*([^*]+)\*", r'<b class="ui">\1</b>', escaped)
