"""The picture of a network in a real browser, small and large: no text lies on another, and none leaves the picture or its box."""

import html
import json
import re
from pathlib import Path
from typing import Any

import pytest
from test_handout_browser import chromium

from wg_office.environment.model import Environment
from wg_office.review.draw import svg
from wg_office.review.picture import picture

_HARNESS = """<!doctype html><meta charset="utf-8"><style>body{{margin:0}}svg{{width:1000px;display:block}}</style>{drawn}
<pre id="result" hidden></pre><script>
const root = document.querySelector("svg"), frame = root.getBoundingClientRect();
const boxes = [...root.querySelectorAll("text")].filter((e) => e.textContent.trim()).map((e) => {{
  const box = e.getBoundingClientRect();
  return {{text: e.textContent, turned: e.hasAttribute("transform"), left: box.left, right: box.right, top: box.top, bottom: box.bottom}};
}});
const rects = [...root.querySelectorAll("rect:not(.panel)")].map((e) => e.getBoundingClientRect());
const crossing = boxes.filter((box) => rects.some((r) => box.left >= r.left && box.left < r.right && box.top >= r.top && box.top < r.bottom
  && (box.right > r.right || box.bottom > r.bottom))).map((box) => box.text);
document.getElementById("result").textContent = JSON.stringify({{boxes, crossing, frame: {{right: frame.right, bottom: frame.bottom}}}});
</script>"""


_CITIES = ("beijing", "shanghai-pudong", "shenzhen", "guangzhou-tianhe", "chengdu")


def office(sites: int, people: int) -> Environment:
    """Each of the people reaches a site, every third some hosts of another, and names are as long as names are."""
    gateways = [
        {
            "name": f"gw-{_CITIES[number % 5]}-{number}",
            "site": f"office-{number}" if number % 5 else f"office-in-hangzhou-west-lake-{number}",
            "address": f"10.70.250.{number + 1}",
            "lan": {"cidr": f"192.168.{number}.0/24", "address": f"192.168.{number}.2"},
            "ssh": {"host": f"198.51.100.{number + 1}"},
        }
        for number in range(sites)
    ]
    some = {"hosts": ["192.168.0.10", "192.168.0.11"], "ports": ["22/tcp", "443/tcp", "8000-8100/tcp"], "site": gateways[0]["site"]}
    met = [{"developer": "someone-0", "ports": ["22/tcp"]}]
    developers = [
        {
            "name": f"someone-{number}",
            "address": f"10.70.{1 + number // 200}.{1 + number % 200}",
            "access": [gateways[1 + number % (sites - 1)]["site"], *([some] if number % 3 == 0 else []), *(met if number % 7 == 6 else [])],
        }
        for number in range(people)
    ]
    hub = {"name": "hub", "address": "10.70.0.1", "endpoint": "203.0.113.110:51820", "ssh": {"host": "203.0.113.10"}}
    return Environment.model_validate(
        {"environment": "office", "network": {"cidr": "10.70.0.0/16"}, "hub": hub, "gateways": gateways, "developers": developers}
    )


def measured(folder: Path, drawn: str) -> dict[str, Any]:
    page = folder / "picture.html"
    page.write_text(_HARNESS.format(drawn=drawn), encoding="utf-8")
    dom = chromium(folder, "--window-size=1100,900", "--dump-dom", page.as_uri())
    found = re.search(r'<pre id="result" hidden="">(.*?)</pre>', dom, re.DOTALL)
    assert found is not None, "the picture was not measured"
    result: dict[str, Any] = json.loads(html.unescape(found[1]))
    return result


def on_each_other(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """By more than the air around letters. Turned texts stand beside each other like books that lean: their outer boxes overlap."""
    across = min(one["right"], other["right"]) - max(one["left"], other["left"])
    down = min(one["bottom"], other["bottom"]) - max(one["top"], other["top"])
    return bool(across > 1 and down > 3) and not (one["turned"] and other["turned"])


@pytest.mark.parametrize("changed", [False, True], ids=["as it is", "a change"])
@pytest.mark.parametrize(("sites", "people"), [(3, 10), (20, 300)])
def test_no_text_lies_on_another_and_none_is_outside(tmp_path: Path, sites: int, people: int, changed: bool) -> None:
    env = office(sites, people)
    before = env.model_copy(update={"developers": env.developers[:-1]}) if changed else None
    found = measured(tmp_path, svg(picture(env, before)))
    boxes, frame = found["boxes"], found["frame"]
    assert len(boxes) > 20
    outside = [
        box["text"]
        for box in boxes
        if box["left"] < 0 or box["top"] < 0 or box["right"] > frame["right"] or box["bottom"] > frame["bottom"]
    ]
    assert outside == []
    assert found["crossing"] == []
    pairs = [(one["text"], other["text"]) for number, one in enumerate(boxes) for other in boxes[:number] if on_each_other(one, other)]
    assert pairs == []
