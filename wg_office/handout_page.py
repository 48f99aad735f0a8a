"""The hand-out's page: what takes a developer from nothing to a working tunnel, in a browser, on a laptop or a phone.

The page stands alone. It asks for nothing from outside (its content policy forbids it), runs no script, and works from a file.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from string import Template
from typing import Literal

import segno

from wg_office.access import Permission, Place, Ports, permissions
from wg_office.handout_texts import EVIDENCE, FILL_IN, GUIDES, PURPOSE, TROUBLE, Step, Text
from wg_office.model import Developer, Environment, Platform
from wg_office.profiles import AT, EVERYDAY, EXACT, MISSING_PRIVATE_KEY, Profile, profiles

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


def handout_page(env: Environment, developer: Developer, confs: Mapping[str, str], language: Language = "en") -> str:
    """The page, in both languages; `language` is the one it opens in."""
    paired = paired_files(env, developer, confs)
    template = Template((Path(__file__).parent / "handout_page.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=html.escape(f"{env.environment} · {developer.name}"),
        environment=html.escape(env.environment),
        tab_rules=_tab_rules(),
        choices=_choices(developer.platform or "linux", language),
        headline=_both(Text("Your way into the office", "连接办公室网络")),
        lead=_both(
            Text(
                f"A WireGuard tunnel for *{developer.name}* to the network *{env.environment}*. "
                "Ten minutes, three steps: set up, check, done.",
                f"为 *{developer.name}* 准备的 WireGuard 隧道，连接网络 *{env.environment}*。三步即可：设置、检查、完成，约十分钟。",
            )
        ),
        way=_way(env, developer, paired),
        secret=_both(
            Text(
                "*This page is a secret, like a password.* It holds the key to the office. Do not forward it, "
                "and delete it when you are set up. The keys are for one device.",
                "*本页如同密码，请严格保密。* 其中包含进入办公室网络的密钥。请勿转发，设置完成后请删除。密钥仅供一台设备使用。",
            )
        ),
        sections="\n".join(_sections(env, developer, paired)),
        footer=_both(
            Text(
                f"Made by wg-office for {developer.name}. Only one of these tunnels may be on at a time.",
                f"由 wg-office 为 {developer.name} 生成。这些隧道同一时间只能启用一个。",
            )
        ),
    )


Paired = list[tuple[Profile, str]]


def paired_files(env: Environment, developer: Developer, confs: Mapping[str, str]) -> Paired:
    """The profiles with their texts. A stack that is older than the environment file must not give out half a page."""
    made = profiles(env, developer)
    missing = [profile.kind for profile in made if profile.kind not in confs]
    if missing:
        raise HandoutError(f"the stack has no {', '.join(missing)} file for {developer.name}; run `pulumi up` first")
    return [(profile, confs[profile.kind]) for profile in made]


def _sections(env: Environment, developer: Developer, paired: Paired) -> list[str]:
    sites = [profile for profile, _ in paired if profile.site is not None]
    granted = [item for item in permissions(env) if (item.source.kind, item.source.name) == ("developer", developer.name)]
    made: list[tuple[Text, str]] = [
        (Text("Set up", "设置"), _tabs() + _per_platform(lambda platform: _setup(platform, developer, paired))),
        (Text("Check that it works", "检查是否正常"), _per_platform(lambda platform: _check(platform, env, paired, granted))),
    ]
    if sites:
        made.append((Text("At the office", "在办公室"), _per_platform(lambda platform: _at_the_office(platform, env, paired, sites))))
    made.append((Text("What you may reach", "您可以访问的范围"), _reach(granted)))
    made.append((Text("Your files", "您的配置文件"), "".join(_file(profile, text) for profile, text in paired)))
    made.append((Text("If something does not work", "遇到问题时"), _trouble(env)))
    return [f"<section><h2>{_number(index)}{_both(title)}</h2>{body}</section>" for index, (title, body) in enumerate(made, 1)]


def _number(index: int) -> str:
    return f'<span class="no">{index:02d}</span>'


def _way(env: Environment, developer: Developer, paired: Paired) -> str:
    sites = {profile.site for profile, _ in paired}
    offices = [gateway for gateway in env.active_gateways if gateway.site in sites]
    office_names = ", ".join(gateway.site for gateway in offices)
    device = [GUIDES[developer.platform].label] if developer.platform is not None else []
    stops = [
        (Text("Your device", "您的设备"), " · ".join([*device, str(developer.address)])),
        (Text(f"The hub {env.hub.name}", f"中心服务器 {env.hub.name}"), str(env.hub.endpoint)),
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


def _setup(platform: Platform, developer: Developer, paired: Paired) -> str:
    profile, text = _start_with(platform, paired)
    words = _words(profile, paired)
    steps = list(GUIDES[platform].setup)
    if MISSING_PRIVATE_KEY in text:
        steps = _with_own_key(platform, steps)
    take = _download(profile, text if platform == developer.platform == "linux" else _portable(text), "button")
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
        return [steps[0], FILL_IN, into]
    return [steps[0], FILL_IN, *steps[1:]]


def _check(platform: Platform, env: Environment, paired: Paired, granted: list[Permission]) -> str:
    profile, _ = _start_with(platform, paired)
    guide = GUIDES[platform]
    steps = [*guide.check, *_reach_steps(platform, granted)]
    if guide.route is not None and any(each.site for each, _ in paired):
        steps.append(guide.route)
    return _steps(steps, _words(profile, paired, env))


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
    offices = "".join(_download(each, _portable(dict(paired)[each]), "button quiet") for each in sites)
    return f'{badge}<ul class="plain">{shown}</ul><div class="take last">{label}{offices}</div>'


def _words(profile: Profile, paired: Paired, env: Environment | None = None) -> dict[str, str]:
    site = next((each for each, _ in paired if each.site is not None), None)
    target = ""
    if env is not None and site is not None and site.site is not None:
        lan = env.gateway_of(site.site).lan.cidr
        target = str(lan[min(77, lan.size - 1)])
    return {
        "name": profile.name,
        "file": profile.file_name,
        "target": target,
        "missing": MISSING_PRIVATE_KEY,
    }


# --- what is reached, files, trouble ---------------------------------------------------------------------------------------------------


def _reach(granted: list[Permission]) -> str:
    if not granted:
        return f'<div class="card"><p>{_both(Text("Nothing yet. Ask for access.", "目前没有。请申请访问权限。"))}</p></div>'
    heads = "".join(f"<th>{_both(text)}</th>" for text in (Text("Where", "目标"), Text("Addresses", "地址"), Text("What", "内容")))
    rows = "".join(_row(place, ports) for place, ports in dict.fromkeys((item.destination, item.ports) for item in granted))
    return f'<div class="card"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'


def _row(place: Place, ports: Ports) -> str:
    kinds = {"site": Text("Office", "办公室"), "developer": Text("Developer", "开发者"), "host": Text("Host", "主机")}
    addresses = ", ".join(str(network.ip) if network.size == 1 else str(network) for network in place.networks)
    what = html.escape(", ".join(map(str, ports))) if ports else _both(Text("everything", "全部"))
    return f"<tr><td>{_both(kinds[place.kind])} <b>{html.escape(place.name)}</b></td><td><code>{addresses}</code></td><td>{what}</td></tr>"


def _file(profile: Profile, text: str) -> str:
    purpose = PURPOSE[AT.rstrip("-") if profile.site else profile.kind]
    words = {"site": profile.site or ""}
    notes = "".join(f"<li>{_both(Text(note.en, note.zh))}</li>" for note in profile.notes)
    head = f'<div class="head"><h3>{html.escape(profile.file_name)}</h3>{_download(profile, text, "button quiet")}</div>'
    listed = f'<ul class="notes">{notes}</ul>' if notes else ""
    shown = _details(Text("Show the text", "显示文本"), f"<pre>{html.escape(text)}</pre>")
    code = _details(Text("Show the QR code", "显示二维码"), _qr(profile, text))
    return f'<div class="card">{head}<p>{_both(purpose, words)}</p>{listed}{shown}{code}</div>'


def _trouble(env: Environment) -> str:
    words = {"endpoint": str(env.hub.endpoint)}
    items = "".join(f"<dt>{_both(question, words)}</dt><dd>{_both(answer, words)}</dd>" for question, answer in TROUBLE)
    return f'<div class="card"><dl>{items}</dl></div>'


# --- pieces ----------------------------------------------------------------------------------------------------------------------------


def _portable(text: str) -> str:
    """The file without the lines that only wg-quick on Linux takes."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("PostUp"))


def _download(profile: Profile, text: str, style: str) -> str:
    # Not text/plain: phones would add .txt to the name, and the apps then refuse the file.
    data = base64.b64encode(text.encode()).decode()
    label = _both(Text(f"Save {profile.file_name}", f"保存 {profile.file_name}"))
    return f'<a class="{style}" download="{html.escape(profile.file_name)}" href="data:application/octet-stream;base64,{data}">{label}</a>'


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
