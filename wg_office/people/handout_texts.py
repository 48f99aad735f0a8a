"""The words of the hand-out, in English and Chinese: what to do on each platform.

Steps are format strings: {name} is the tunnel to start with, {file} its file, {target} an address in an office,
{missing} the placeholder for a private key that only its owner has. In the text, `code` and *label* are set apart.
The names of buttons are those of the apps' own translations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from wg_office.environment.model import Platform


class Text(NamedTuple):
    """The same words in both languages."""

    en: str
    zh: str


@dataclass(frozen=True)
class Step:
    """Something to do, with the commands for it where there are any."""

    text: Text
    command: str | None = None


Evidence = Literal["tested", "reported", "documented", "unsure"]


@dataclass(frozen=True)
class Guide:
    """All that one platform needs. `evidence` says how sure the part about the office is (docs/at-the-office.md)."""

    label: str
    setup: tuple[Step, ...]
    check: tuple[Step, ...]
    route: Step | None
    office: tuple[Step, ...]
    evidence: Evidence


EVIDENCE: dict[Evidence, Text] = {
    "tested": Text("Tested", "已测试"),
    "reported": Text("Reported by users", "来自用户报告"),
    "documented": Text("By the vendor's documents; users' reports differ", "依据厂商文档；用户报告不一"),
    "unsure": Text("Read in the system's source, not tried on a device", "依据系统源代码，未在设备上验证"),
}

_FILL_IN = Text(
    "Open `{file}` in a text editor and put your own private key in place of `{missing}`. "
    "It never left your computer, so only you can do this.",
    "用文本编辑器打开 `{file}`，将 `{missing}` 替换为您自己的私钥。私钥从未离开您的电脑，因此只能由您填写。",
)
FILL_IN = Step(_FILL_IN)
FILL_IN_LINUX = Step(_FILL_IN, "sudoedit /etc/wireguard/{file}")

HUB_IS_SILENT = Text(
    "The hub itself does not answer your ping. That is no fault: you may not reach it, only what lies behind it.",
    "中心服务器不会响应您的 ping，这不是故障：您无权访问它本身，只能访问它后面的目标。",
)

DOWNLOAD = Step(Text("Save `{file}` with the button above.", "点击上方按钮保存 `{file}`。"))
_APP_HANDSHAKE = Step(
    Text(
        "The tunnel's page in the app shows *Latest handshake* a few seconds ago, and *Data received* grows.",
        "应用的隧道页面中，*最新的握手* 为几秒前，且 *接收数据量* 在增加。",
    )
)
_LEAVE_ON = Text(
    "Leave `{name}` on. The office's own network is the more exact route, so that traffic to it does not take the detour.",
    "保持 `{name}` 开启即可。办公室本地网络的路由更精确，流量不会绕行隧道。",
)
_IF_TUNNEL = Text(
    "If it names the tunnel all the same, switch `{name}` off while you are there, and the file for that office on.",
    "如果显示的仍是隧道，请在办公室内关闭 `{name}`，改用该办公室的配置。",
)

LINUX = Guide(
    label="Linux",
    setup=(
        Step(
            Text("Install WireGuard (on Fedora with `dnf` in place of `apt`).", "安装 WireGuard（Fedora 请用 `dnf` 代替 `apt`）。"),
            "sudo apt install wireguard-tools",
        ),
        Step(
            Text(
                "Save `{file}` with the button above and put it where only root can read it.",
                "点击上方按钮保存 `{file}`，放到仅 root 可读的位置。",
            ),
            "sudo install -m 600 ~/Downloads/{file} /etc/wireguard/{file}\nrm ~/Downloads/{file}",
        ),
        Step(Text("Switch it on.", "启用隧道。"), "sudo wg-quick up {name}"),
        Step(Text("To switch it off again:", "关闭隧道："), "sudo wg-quick down {name}"),
        Step(Text("To have it start with the computer:", "设为开机自动启动："), "sudo systemctl enable wg-quick@{name}"),
    ),
    check=(
        Step(Text("The latest handshake is a few seconds old.", "最近一次握手（latest handshake）在几秒之前。"), "sudo wg show {name}"),
    ),
    route=Step(
        Text(
            "Away from the office this names `{name}`; inside the office it names your network card.",
            "不在办公室时显示 `{name}`；在办公室内显示您的网卡。",
        ),
        "ip route get {target}",
    ),
    office=(Step(_LEAVE_ON), Step(_IF_TUNNEL)),
    evidence="tested",
)

MACOS = Guide(
    label="macOS",
    setup=(
        Step(Text("Install *WireGuard* from the App Store.", "从 App Store 安装 *WireGuard*。")),
        DOWNLOAD,
        Step(
            Text(
                "In the app choose *Import tunnel(s) from file*, take the file, and allow the VPN configuration.",
                "在应用中选择 *从文件导入隧道*，选中该文件，并允许添加 VPN 配置。",
            )
        ),
        Step(
            Text(
                "Press *Activate*. Then delete the downloaded file: the app has its own copy.",
                "点击 *启动*。随后删除下载的文件：应用已有自己的副本。",
            )
        ),
    ),
    check=(_APP_HANDSHAKE,),
    route=Step(
        Text(
            "Away from the office the interface is `utun…`; inside the office it is `en…`.",
            "不在办公室时接口为 `utun…`；在办公室内为 `en…`。",
        ),
        "route -n get {target} | grep interface",
    ),
    office=(Step(_LEAVE_ON), Step(_IF_TUNNEL)),
    evidence="reported",
)

WINDOWS = Guide(
    label="Windows",
    setup=(
        Step(Text("Install WireGuard from `wireguard.com/install`.", "从 `wireguard.com/install` 下载并安装 WireGuard。")),
        DOWNLOAD,
        Step(
            Text(
                "In the app choose *Import tunnel(s) from file* and take the file. "
                "To replace a tunnel, remove the old one first: the app keeps its own copy.",
                "在应用中选择 *从文件导入隧道*，选中该文件。若要替换旧隧道，请先删除旧的：应用保存着自己的副本。",
            )
        ),
        Step(Text("Press *Activate*. Then delete the downloaded file.", "点击 *启用（Activate）*。随后删除下载的文件。")),
    ),
    check=(_APP_HANDSHAKE,),
    route=Step(
        Text(
            "In PowerShell: away from the office this names `{name}`; inside the office it names your network card.",
            "在 PowerShell 中：不在办公室时显示 `{name}`；在办公室内显示您的网卡。",
        ),
        "Find-NetRoute -RemoteIPAddress {target} | Select-Object InterfaceAlias",
    ),
    office=(Step(_LEAVE_ON), Step(_IF_TUNNEL)),
    evidence="documented",
)

IOS = Guide(
    label="iPhone, iPad",
    setup=(
        Step(Text("Install *WireGuard* from the App Store.", "从 App Store 安装 *WireGuard*。")),
        Step(
            Text(
                "Open this page on another screen. In the app press *+*, then *Create from QR code*, and scan the code. "
                "Or, on the phone itself, save the file and open it with WireGuard.",
                "在另一块屏幕上打开本页。在应用中点按 *+*，再选 *扫描二维码*，扫描下面的二维码。"
                "也可以直接在手机上保存配置文件，并用 WireGuard 打开。",
            )
        ),
        Step(
            Text("Name it `{name}`, allow the VPN configuration, and switch it on.", "命名为 `{name}`，允许添加 VPN 配置，然后打开开关。")
        ),
    ),
    check=(_APP_HANDSHAKE,),
    route=None,
    office=(
        Step(_LEAVE_ON),
        Step(
            Text(
                "To have it switch by itself: edit the tunnel, turn on *On-Demand* for Wi-Fi, "
                "and add the office's Wi-Fi under *Except these SSIDs*.",
                "如需自动切换：编辑隧道，为 Wi-Fi 打开 *按需启动*，并在 *除了这些SSIDs* 中加入办公室的 Wi-Fi。",
            )
        ),
    ),
    evidence="reported",
)

ANDROID = Guide(
    label="Android",
    setup=(
        Step(Text("Install *WireGuard* from your app store.", "从应用商店安装 *WireGuard*。")),
        Step(
            Text(
                "Open this page on another screen. In the app press *+*, then *Scan from QR code*, and scan the code. "
                "Or, on the phone itself, save the file and choose *Import from file or archive*.",
                "在另一块屏幕上打开本页。在应用中点按 *+*，再选 *扫描二维码*，扫描下面的二维码。"
                "也可以直接在手机上保存配置文件，再选 *导入配置或压缩包*。",
            )
        ),
        Step(Text("Name it `{name}` and switch it on.", "命名为 `{name}`，然后打开开关。")),
    ),
    check=(_APP_HANDSHAKE,),
    route=None,
    office=(
        Step(
            Text(
                "Switch `{name}` off, or the file for that office on. Android sends every address of a tunnel through it, "
                "wherever you are, so that only a file without this office helps.",
                "关闭 `{name}`，或改用该办公室的配置。无论身在何处，Android 都会让隧道所列地址走隧道，只有不含该办公室的配置才有效。",
            )
        ),
    ),
    evidence="unsure",
)

GUIDES: dict[Platform, Guide] = {"linux": LINUX, "macos": MACOS, "windows": WINDOWS, "ios": IOS, "android": ANDROID}

BY_ITSELF = Text("Have it switch by itself", "自动切换")

SIGNS = Text(
    "With `{file}` the tunnel is off in the office and on everywhere else. The device knows the office by this:",
    "安装 `{file}` 后，隧道在办公室内自动关闭，在其他地方自动开启。设备通过以下信息识别办公室：",
)
BY_SERVER = Text("its name server is", "DNS 服务器：")
BY_NAME = Text("its Wi-Fi is called", "Wi-Fi 名称：")
NOT_TRIED = Text(
    "Made by what Apple and WireGuard publish, and not tried on a device. Whoever gives a Wi-Fi the same name, or answers at the same "
    "address, switches it off too: trust no network more for it.",
    "依据 Apple 和 WireGuard 公开的文档制作，未在设备上验证。同名 Wi-Fi 或相同地址的 DNS 服务器同样会关闭隧道，请勿因此信任任何网络。",
)
OTHER_OFFICES = Text(
    "While it is off, your other offices are out of reach: this file is for whoever does not need them from here.",
    "隧道关闭时无法访问其他办公室：如需在此访问其他办公室，请勿使用此文件。",
)
INSTALL_PROFILE: dict[str, tuple[Step, ...]] = {
    platform: (
        Step(
            Text(
                "It takes the place of the tunnel that you may have imported: delete `{name}` in the app first.",
                "它取代您之前导入的隧道：请先在应用中删除 `{name}`。",
            )
        ),
        install,
        Step(
            Text(
                "Open the WireGuard app once, which then takes the key into the keychain, and delete the downloaded file.",
                "打开一次 WireGuard 应用（应用会将密钥存入钥匙串），然后删除下载的文件。",
            )
        ),
    )
    for platform, install in {
        "macos": Step(
            Text(
                "Open the saved file, and install the profile in *System Settings*, under *General*, *Device Management* "
                "(before macOS 15: *Privacy & Security*, *Profiles*).",
                "打开保存的文件，并在 *系统设置* 的 *通用*、*设备管理* 中安装描述文件（macOS 15 之前：*隐私与安全性*、*描述文件*）。",
            )
        ),
        "ios": Step(
            Text(
                "Open the saved file, and install the profile in *Settings*, where *Profile Downloaded* stands at the top.",
                "打开保存的文件，并在 *设置* 顶部的 *已下载描述文件* 中安装。",
            )
        ),
    }.items()
}

PURPOSE: dict[str, Text] = {
    "everyday": Text("For every day: at home, on the road, and in the office.", "日常使用：家中、途中和办公室均可。"),
    "exact": Text(
        "The office networks exactly as they are: for Android, and where your home network has an office's addresses.",
        "办公室网段原样列出：用于 Android，或家庭网络与办公室地址相同时。",
    ),
    "at": Text("For use inside the office {site}: leaves that network out.", "在办公室 {site} 内使用：不包含该办公室的网络。"),
}

NO_HANDSHAKE: tuple[Text, Text] = (
    Text("No handshake at all", "完全没有握手"),
    Text(
        "The network you are in may block UDP to `{endpoint}`. Try a phone's hotspot. If it works there, the network is the reason.",
        "您所在的网络可能屏蔽了到 `{endpoint}` 的 UDP。请用手机热点试试；若可以，则是原网络的问题。",
    ),
)

NOT_CARRIED: tuple[Text, Text] = (
    Text("No handshake at all", "完全没有握手"),
    Text(
        "The program that carries the tunnel from `{endpoint}` to the server must be running, and have reached its other end. "
        "Start it first, then switch the tunnel off and on.",
        "将隧道从 `{endpoint}` 转发到服务器的程序必须正在运行，并已连接到另一端。请先启动它，然后关闭并重新启用隧道。",
    ),
)
"""Where the file sends to such a program: another port of the hub, or another network, changes nothing then."""

OTHER_PORTS: tuple[Text, Text] = (
    Text("No handshake, and the network blocks this port", "没有握手，且所在网络屏蔽此端口"),
    Text(
        "The same server answers at further ports: {others}. In the tunnel's settings, at the end of `Endpoint`, put one of them "
        "in place of `{port}`, and switch the tunnel off and on.",
        "同一服务器还接受以下端口：{others}。在隧道设置中，将 `Endpoint` 末尾的 `{port}` 改为其中之一，然后关闭并重新启用隧道。",
    ),
)
"""Where the hub is reached at other ports too."""

TROUBLE: tuple[tuple[Text, Text], ...] = (
    (
        Text("A handshake, but one device does not answer", "有握手，但某台设备没有响应"),
        Text(
            "See the table of what you may reach. What is not in it is refused at once or goes unanswered.",
            "请对照上面的访问范围表。不在表中的目标会被立即拒绝或没有响应。",
        ),
    ),
    (
        Text("It stops when you switch on a second device", "在第二台设备上启用后就断开"),
        Text(
            "These files belong to one device. Ask for a file of its own for each further device.",
            "这些配置只属于一台设备。每台新设备请另外申请配置。",
        ),
    ),
    (
        Text("The device is lost, or the file was seen by others", "设备丢失或配置被他人看到"),
        Text(
            "Tell whoever gave you this page at once: your access ends within minutes, and you get new keys.",
            "请立即告知给您此页的人：您的访问会在几分钟内终止，并获得新密钥。",
        ),
    ),
)
