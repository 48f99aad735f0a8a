"""YAML text as plain data, with the line of every value.

The scalars are those of YAML 1.2, as editors and the JSON schema have them: `on` and `no` are text, `1:30` is text, `010` is ten.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from wg_office.environment.faults import Path
from wg_office.environment.fields import show

_TAG = "tag:yaml.org,2002:"
_LARGEST = 500_000
"""Values in a file, aliases expanded: far more than any environment has, and few enough to stop an expansion bomb."""

_DEEPEST = 30


class _Loader(yaml.SafeLoader):
    """Composes nodes with the implicit types of YAML 1.2, and `<<` as everybody uses it."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (PyYAML's own name and type)


for _kind, _pattern, _first in (
    ("merge", r"^<<$", "<"),
    ("null", r"^(~|null|Null|NULL|)$", "~nN\0"),
    ("bool", r"^(true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("int", r"^([-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$", "-+0123456789"),
    ("float", r"^([-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$", "-+.0123456789"),
):
    _Loader.add_implicit_resolver(_TAG + _kind, re.compile(_pattern), [*_first.replace("\0", ""), *([""] if "\0" in _first else [])])


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with the text itself."""

    line: int
    path: Path
    message: str


@dataclass(slots=True)
class Document:
    """The data of a YAML text, and where each part of it stands."""

    data: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line(self, path: Path) -> int:
        """The line of a value, or of the nearest part of the file around a value that is not there."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def trimmed(self, path: Path) -> Path:
        """The path as the reader finds it in the file: a grant written as `beijing` has no field `site` there."""
        inner = self.data
        for depth, part in enumerate(path):
            if not isinstance(inner, dict | list):
                return path[:depth]
            here = inner.get(part) if isinstance(inner, dict) else inner[part] if isinstance(part, int) and part < len(inner) else None
            if here is None:
                return path[: depth + 1]
            inner = here
        return path


class _TooLargeError(Exception):
    """More values than an environment can have."""


def parse(text: str) -> Document:
    """Parse one YAML document. Never raises: what is wrong stands in `problems`."""
    document = Document()
    try:
        root = _Loader(text).get_single_node()
        if root is not None:
            document.data = _Builder(document).build(root, (), frozenset())
        if document.data is None and not document.problems:
            document.problems.append(Problem(document.line(()), (), "is empty; begin with `environment: NAME`"))
    except yaml.MarkedYAMLError as error:
        document.problems.append(_another_format(text) or _syntax(error))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        document.problems.append(
            Problem(line, (), f"holds the character #x{ord(text[error.position]):04x}, which YAML does not allow; remove it")
        )
    except RecursionError:
        document.problems.append(Problem(1, (), "is nested too deeply; an environment needs about six levels"))
    except _TooLargeError:
        document.problems.append(Problem(1, (), f"expands to more than {_LARGEST} values; use fewer aliases"))
    return document


def _another_format(text: str) -> Problem | None:
    """What to say of a file that wg-quick reads, and not this program."""
    found = re.search(r"^\s*\[(?:Interface|Peer)\]\s*$", text, re.MULTILINE)
    if found is None:
        return None
    how = "`python -m wg_office adopt` writes an environment file from the hosts of a network that exists, and `new` an empty one"
    return Problem(text.count("\n", 0, found.start()) + 1, (), f"is a file of wg-quick, and no environment file; {how}")


def _syntax(error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark is not None else 1
    problem = " ".join((error.problem or error.context or "it ends too early").split()).removeprefix("but ")
    if "<" in problem:  # names of the parser's own tokens
        problem = "this line does not fit the structure before it"
    remedy = "check indentation, colons, brackets and quotes there"
    if "'\\t'" in problem:
        remedy = "indent with spaces, not with tabs"
    elif "document" in problem and "another" in problem:
        remedy = "one file holds one environment: take the second '---' away"
    elif "undefined alias" in problem:
        remedy = "define it with & before it is used with *"
    elif mark is not None and mark.buffer is not None and re.search(r":\s*\[[0-9A-Fa-f:]+\]:[0-9]", _line_at(mark)):
        remedy = 'write an IPv6 endpoint in quotes: "[2001:db8::1]:51820"'
    elif mark is not None and mark.buffer is not None and (looks := _looks_like_another(str(mark.buffer).splitlines()[:line][-2:])):
        remedy = looks
    return Problem(line, (), f"is no valid YAML: {problem}; {remedy}")


_LOOK_ALIKES = {
    "\u00a0": "' '",
    "\u3000": "' '",
    "\u202f": "' '",
    "：": "': '",
    "，": "', '",
    "［": "'['",
    "］": "']'",
    "｛": "'{'",
    "｝": "'}'",
}
"""What word processors, chats and Chinese keyboards put in the place of what YAML knows."""


def _looks_like_another(lines: list[str]) -> str | None:
    """The remedy for a character in the line with the fault, or before it, that only looks like one of YAML's."""
    found = next((char for each in reversed(lines) for char in each.partition(" #")[0] if char in _LOOK_ALIKES), None)
    return None if found is None else f"U+{ord(found):04X} only looks like what YAML knows: write {_LOOK_ALIKES[found]}"


def _line_at(mark: yaml.Mark) -> str:
    # PyYAML's buffer ends with \0; the mark's pointer may stand anywhere in the line.
    buffer = str(mark.buffer)
    start = buffer.rfind("\n", 0, mark.pointer) + 1
    return buffer[start:].split("\n", 1)[0].rstrip("\0")


class _Builder:
    """Turns nodes into data, and notes lines and problems on the way."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._count = 0

    def build(self, node: Node, path: Path, above: frozenset[int]) -> Any:
        self._count += 1
        if self._count > _LARGEST:
            raise _TooLargeError
        self._document.lines.setdefault(path, node.start_mark.line + 1)
        if id(node) in above:
            return self._problem(node, path, "refers to itself through an alias; write it out")
        if len(path) > _DEEPEST:
            return self._problem(node, (), "is nested too deeply; an environment needs about six levels")
        above |= {id(node)}
        if isinstance(node, ScalarNode):
            return self._scalar(node, path)
        if node.tag not in (_TAG + "map", _TAG + "seq"):
            return self._problem(node, path, f"has the tag {_short(node.tag)}, which is not known here; leave it out")
        if isinstance(node, MappingNode):
            return self._mapping(node, path, above)
        return [self.build(item, (*path, index), above) for index, item in enumerate(node.value)]

    def _problem(self, node: Node, path: Path, message: str) -> None:
        self._document.problems.append(Problem(node.start_mark.line + 1, path, message))

    def _scalar(self, node: ScalarNode, path: Path) -> Any:
        kind, text = node.tag.removeprefix(_TAG), str(node.value)
        try:
            match kind:
                case "null":
                    return None
                case "bool":
                    return {"true": True, "false": False}[text.lower()]
                case "int":
                    return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
                case "float":
                    return float(text.replace(".inf", "inf").replace(".nan", "nan")) if "." in text[:2] else float(text)
                case "str" | "merge":
                    return text
        except (KeyError, ValueError):
            return self._problem(node, path, f"is no valid value of the type {kind}; write it plainly")
        return self._problem(node, path, f"has the tag {_short(node.tag)}, which is not known here; leave it out")

    def _mapping(self, node: MappingNode, path: Path, above: frozenset[int]) -> dict[str, Any]:
        data: dict[str, Any] = {}
        merges: list[Node] = []
        for key_node, value_node in node.value:
            if key_node.tag == _TAG + "merge":
                merges.extend(value_node.value if isinstance(value_node, SequenceNode) else [value_node])
                continue
            key = self._key(key_node, path)
            if key is None:
                continue
            here, line = (*path, key), key_node.start_mark.line + 1
            if key in data:
                first = self._document.lines[here]
                self._document.problems.append(Problem(line, here, f"is given a second time (first on line {first}); keep one of them"))
                continue
            self._document.lines[here] = line
            data[key] = self.build(value_node, here, above)
        for merge in merges:
            self._merge(merge, path, above, data)
        return data

    def _merge(self, node: Node, path: Path, above: frozenset[int], data: dict[str, Any]) -> None:
        if not isinstance(node, MappingNode) or id(node) in above:
            self._problem(node, path, "'<<' takes a mapping, or a list of mappings, that stands elsewhere")
            return
        for key_node, value_node in _entries(node):
            key = self._key(key_node, path)
            if key is not None and key not in data:
                self._document.lines[(*path, key)] = key_node.start_mark.line + 1
                data[key] = self.build(value_node, (*path, key), above)

    def _key(self, node: Node, path: Path) -> str | None:
        if isinstance(node, ScalarNode) and node.tag == _TAG + "str":
            return str(node.value)
        shown = show(str(node.value)) if isinstance(node, ScalarNode) else "a list or mapping"
        remedy = "; if it belongs to the number before the comma, write a whole one" if node.tag == _TAG + "int" else ""
        self._problem(node, path, f"has {shown} as a field name, which is not text; write it in quotes{remedy}")
        return None


def _entries(node: MappingNode, above: frozenset[int] = frozenset()) -> Iterator[tuple[Node, Node]]:
    """The entries of a merged mapping, with what it merges itself."""
    for key_node, value_node in node.value:
        if key_node.tag != _TAG + "merge":
            yield key_node, value_node
    for key_node, value_node in node.value:
        if key_node.tag == _TAG + "merge" and id(node) not in above:
            for inner in value_node.value if isinstance(value_node, SequenceNode) else [value_node]:
                if isinstance(inner, MappingNode):
                    yield from _entries(inner, above | {id(node)})


def _short(tag: str) -> str:
    return show(tag.replace(_TAG, "!!"), quoted=False)
