"""YAML as people write it by hand, read without surprises: the one loader for all YAML files."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from galago._core.printable import printable
from galago._core.shown import shown
from galago._core.text_files import read_text

MAX_BYTES = 1 << 20  # of a file; 255 classes with names and colors take some 10 kB
MAX_DEPTH = 16  # lists and mappings within each other
MAX_NUMBER = 1 << 63  # numbers lie within plus and minus this
MAX_DIGITS = 40  # characters of a number


def read_yaml(path: Path) -> Any:
    """Read a YAML file: mappings, lists, text, numbers, true, false and null.

    A key that stands twice in one mapping is refused, as YAML 1.2 demands; PyYAML takes the last.
    Aliases (`*name`) and merge keys (`<<`) are refused too, because a file of a hundred bytes can
    stand for gigabytes with them.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not UTF-8, no YAML, or holds what is refused; the message is one
            sentence that names the file and, where there is one, the line.
    """
    return parse_yaml(read_text(path, max_bytes=MAX_BYTES), name=str(path))


def parse_yaml(text: str, *, name: str) -> Any:
    """Read YAML as `read_yaml` does.

    Args:
        text: YAML.
        name: of its file, for messages.
    Raises:
        ValueError: as `read_yaml`.
    """
    try:
        return yaml.load(text, Loader=_StrictLoader)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        said = printable(error.problem or error)
        if said.startswith("but "):  # half of a sentence
            said = f"{printable(error.context)}, {said}"
        raise ValueError(f"{name} is not readable as YAML{line}: {said}.") from error
    except yaml.YAMLError as error:  # characters that YAML forbids
        said = printable(str(error).splitlines()[0])
        raise ValueError(f"{name} is not readable as YAML: {said}.") from error


class _StrictLoader(yaml.SafeLoader):
    """PyYAML's safe loader without aliases, twin keys, deep nesting and numbers without bound."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            raise _refusal(f"aliases as *{event.anchor} are not read; write the value out", event)
        if self.depth >= MAX_DEPTH:
            raise _refusal(f"more than {MAX_DEPTH} lists and mappings within each other", event)
        self.depth += 1
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep=deep)
            if isinstance(value, str):
                value.encode()  # fails on half a character, as "\ud800" names it
            return value
        except (ValueError, OverflowError, TypeError, AttributeError, LookupError) as error:
            # What int(), date() and re.match() raise: PyYAML lets it through.
            kind = "date" if node.tag.endswith(":timestamp") else node.tag.rpartition(":")[-1]
            raise _refusal(f"{shown(node.value)} is no {kind}", node) from error

    def construct_mapping(self, node: yaml.Node, deep: bool = False) -> dict[Hashable, Any]:
        if not isinstance(node, yaml.MappingNode):
            raise _refusal("text or a list where keys and values should be", node)
        lines: dict[Hashable, int] = {}
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                raise _refusal("merge keys (<<) are not read; write the keys out", key_node)
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise _refusal("a key that is a list or a mapping", key_node)
            line = key_node.start_mark.line + 1
            if key in lines:
                raise _refusal(
                    f"the key {shown(key)} stands twice, first in line {lines[key]}; remove or "
                    "rename one",
                    key_node,
                )
            lines[key] = line
        return super().construct_mapping(node, deep=deep)

    def construct_number(self, node: yaml.ScalarNode) -> int | float:
        """Read an integer or a float within bounds."""
        if len(node.value) > MAX_DIGITS:
            raise _refusal(f"a number of {len(node.value):,} characters", node)
        if node.tag.endswith(":int"):
            value: int | float = self.construct_yaml_int(node)
        else:
            value = self.construct_yaml_float(node)
        if isinstance(value, int) and not -MAX_NUMBER <= value <= MAX_NUMBER:
            raise _refusal("a number beyond 64 bits", node)
        return value


_StrictLoader.add_constructor("tag:yaml.org,2002:int", _StrictLoader.construct_number)
_StrictLoader.add_constructor("tag:yaml.org,2002:float", _StrictLoader.construct_number)


def _refusal(problem: str, at: yaml.Node | yaml.Event) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=at.start_mark)  # type: ignore[arg-type]
