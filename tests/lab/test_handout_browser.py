"""The hand-out in a real browser, at phone and desktop width: it fits, it switches, it asks for nothing, and its QR code is the file."""

from __future__ import annotations

import html
import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from wg_office.environment.model import Environment
from wg_office.people.handout import handout_page
from wg_office.people.handout_page import qr_text
from wg_office.people.profiles import ClientKeys, best_of, profiles, render_profile

GOLDEN = Path(__file__).parents[1] / "golden" / "profiles"
KEYS = ClientKeys(
    hub_public_key="HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=",
    preshared_key="FpCyhws9cxwWoV4xELtfJvjJN+zQVRPISllRWgeopVE=",
    private_key="yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=",
)
PHONE, DESKTOP = 390, 1280

# The browser's own narrowest window is wider than a phone, hence a frame. Its width is what the page's rules for widths see, and it has
# the origin of the script around it, which can therefore measure it.
_HARNESS = """<!doctype html><meta charset="utf-8"><style>body{{margin:0}}iframe{{border:0;display:block}}</style>
<iframe id="frame" width="{width}" height="{height}" srcdoc="{page}"></iframe><pre id="result" hidden></pre>
<script>
const frame = document.getElementById("frame");
frame.onload = () => {{
  const page = frame.contentDocument, root = page.documentElement;
  const seen = (selector) => [...page.querySelectorAll(selector)].filter((e) => e.getClientRects().length > 0).length;
  const press = (id) => page.querySelector(`label[for=${{id}}]`).click();
  const result = {{languages: {{}}, platforms: {{}}, overflowing: []}};
  for (const language of ["zh", "en"]) {{
    press("lang-" + language);
    result.languages[language] = {{en: seen("span[lang=en]"), zh: seen("span[lang=zh]")}};
    for (const os of ["linux", "macos", "windows", "ios", "android"]) {{
      press("os-" + os);
      const shown = [...page.querySelectorAll(".os")].filter((e) => e.getClientRects().length > 0);
      result.platforms[os] = [...new Set(shown.map((e) => e.className.split("os-")[1]))];
      if (root.scrollWidth > root.clientWidth) result.overflowing.push([language, os, root.scrollWidth]);
    }}
  }}
  page.querySelectorAll("details").forEach((e) => {{ e.open = true; }});
  if (root.scrollWidth > root.clientWidth) result.overflowing.push(["open", root.scrollWidth]);
  result.requests = frame.contentWindow.performance.getEntriesByType("resource").map((e) => e.name);
  result.codes = [...page.querySelectorAll("svg.qr")].map((e) => e.getBoundingClientRect().width).filter((width) => width > 0);
  result.downloads = [...page.querySelectorAll("a[download]")].map((e) => [e.download, atob(e.href.split(",")[1])]);
  document.getElementById("result").textContent = JSON.stringify(result);
}};
</script>"""


@dataclass(frozen=True)
class Page:
    """A hand-out, and the files that went into it by name."""

    text: str
    files: dict[str, str]
    best: str


def page_of(case: str, developer_name: str) -> Page:
    env = Environment.model_validate(yaml.safe_load((GOLDEN / case / "environment.yaml").read_text(encoding="utf-8")))
    client = next(each for each in env.clients if each.name == developer_name)
    keys = KEYS if client.public_key is None else ClientKeys(KEYS.hub_public_key, KEYS.preshared_key)
    made = profiles(env, client)
    confs = {profile.kind: render_profile(profile, keys) for profile in made}
    files = {profile.file_name: confs[profile.kind] for profile in made}
    return Page(handout_page(env, client, confs), files, confs[best_of(client, made).kind])


def chromium(tmp_path: Path, *arguments: str) -> str:
    profile = tmp_path / "browser"
    profile.mkdir(exist_ok=True)
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic", "--no-first-run"]
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", *quiet, f"--user-data-dir={profile}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def rendered(tmp_path: Path, page: Page, width: int) -> dict[str, Any]:
    harness = tmp_path / "harness.html"
    harness.write_text(_HARNESS.format(width=width, height=900, page=html.escape(page.text)), encoding="utf-8")
    dom = chromium(tmp_path, f"--window-size={max(width, 600)},900", "--dump-dom", harness.as_uri())
    match = re.search(r'<pre id="result" hidden="">(.*?)</pre>', dom, re.DOTALL)
    assert match is not None, "the page was not measured"
    measured: dict[str, Any] = json.loads(html.unescape(match[1]))
    return measured


def screenshot(tmp_path: Path, page: Page, width: int, height: int) -> Path:
    frame = tmp_path / "frame.html"
    frame.write_text(
        "<style>body{margin:0}iframe{border:0;display:block}</style>"
        f'<iframe width="{width}" height="{height}" srcdoc="{html.escape(page.text)}"></iframe>',
        encoding="utf-8",
    )
    picture = tmp_path / f"{width}.png"
    scale = 2 if width == PHONE else 1
    size = [f"--window-size={max(width, 600)},{height}", f"--force-device-scale-factor={scale}", "--hide-scrollbars"]
    chromium(tmp_path, *size, f"--screenshot={picture}", frame.as_uri())
    return picture


def codes_in(picture: Path) -> list[str]:
    done = subprocess.run(
        ["zbarimg", "--quiet", "--raw", "-Sdisable", "-Sqrcode.enable", str(picture)], capture_output=True, text=True, check=False
    )
    return [done.stdout.rstrip("\n")] if done.returncode == 0 else []


PAGES = [("article", "e"), ("options", "ivy"), ("options", "andy"), ("options", "maya")]


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
@pytest.mark.parametrize(("case", "developer"), PAGES)
def test_the_page_fits_switches_and_asks_for_nothing(tmp_path: Path, case: str, developer: str, width: int) -> None:
    page = page_of(case, developer)
    measured = rendered(tmp_path, page, width)
    assert measured["overflowing"] == []
    assert measured["requests"] == []
    assert measured["languages"]["zh"]["en"] == measured["languages"]["en"]["zh"] == 0
    assert measured["languages"]["zh"]["zh"] > 20
    assert measured["languages"]["en"]["en"] > 20
    assert measured["platforms"] == {platform: [platform] for platform in ("linux", "macos", "windows", "ios", "android")}
    assert {name: text for name, text in measured["downloads"] if text == page.files.get(name)} == page.files


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_the_qr_code_on_the_screen_is_the_phones_file(tmp_path: Path, width: int) -> None:
    page = page_of("options", "ivy")
    assert codes_in(screenshot(tmp_path, page, width, 2600)) == [qr_text(page.best).rstrip("\n")]


def test_a_qr_code_that_is_shown_is_large_enough_to_scan_on_a_phone(tmp_path: Path) -> None:
    measured = rendered(tmp_path, page_of("options", "ivy"), PHONE)
    assert measured["codes"]
    assert min(measured["codes"]) >= 300


def test_who_brought_a_public_key_sees_no_code(tmp_path: Path) -> None:
    assert rendered(tmp_path, page_of("options", "andy"), PHONE)["codes"] == []
