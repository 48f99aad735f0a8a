"""Text of others on its way to a terminal: nothing in it may move the cursor, set a title, or pass for a line of ours. Pure.

Room: text. Whatever a host, a peer's name, another program or an environment file says goes through here before a person sees it.
"""

import json
import unicodedata
from typing import Any

_RIGHT_TO_LEFT = frozenset({"R", "AL"})


def one_line(text: str, longest: int | None = None) -> str:
    """The text as one line: white space folded, control characters spelled out (`\\x1b`), cut where it is longer than anybody reads."""
    shown = "".join(map(_spelled, " ".join(text.split())))
    return shown if longest is None or len(shown) <= longest else f"{shown[: longest - 3]}..."


def _spelled(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()


def isolated(text: str) -> str:
    """The text with what it has of right-to-left writing kept to itself: the words, signs and numbers around that stay in their places."""
    at = [place for place, char in enumerate(text) if unicodedata.bidirectional(char) in _RIGHT_TO_LEFT]
    if not at:
        return text
    start, end = at[0], at[-1] + 1
    while text[start:end].count("(") > text[start:end].count(")") and text[end : end + 1] == ")":
        end += 1
    return f"{text[:start]}\u2068{text[start:end]}\u2069{text[end:]}"


def json_text(data: Any) -> str:
    """JSON for people and programs: letters of any language as they are, what is not printable escaped."""
    text = json.dumps(data, indent=2, ensure_ascii=False)
    return "".join(each if each.isprintable() or each == "\n" else json.dumps(each)[1:-1] for each in text)
