"""The conditions of a compiled pipeline: parsed, never evaluated as code.

Kubeflow writes them in CEL (Common Expression Language), of which its compiler emits comparisons of input parameters
and literals, joined by `&&`, `||` and `!`, with `int(...)`, `double(...)` and `string(...)` around an operand. A
parameter's value is only ever compared: text that reads like an expression stays text.

Source: kfp/compiler/pipeline_spec_builder.py, `_resolve_condition_operands` and `_get_condition_expression...`.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from components.contract.errors import UserError

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<parameter>inputs\.parameter_values\['(?P<name>[^']+)'\])
    | (?P<call>int|double|string)\(
    | (?P<operator>==|!=|<=|>=|<|>|&&|\|\||!|\(|\))
    | (?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
    | (?P<bool>true|false)
    | '(?P<text>(?:[^'\\]|\\.)*)'
    | "(?P<quoted>(?:[^"\\]|\\.)*)"
    )""",
    re.VERBOSE | re.DOTALL,
)
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_CASTS: dict[str, Callable[[Any], Any]] = {"int": int, "double": float, "string": lambda value: _as_text(value)}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", '"': '"'}

Token = tuple[str, Any]
Fill = Callable[[str], str]


def holds(condition: str, parameters: Mapping[str, Any], fill: Fill | None = None) -> bool:
    """Whether a task's trigger condition holds.

    Args:
        condition: The condition.
        parameters: The task's input parameters.
        fill: Fills the placeholders in the condition's literals; without it they are text.

    Raises:
        UserError: The condition is not one that Kubeflow's compiler writes, names an unknown parameter, or orders
            values of different types.
    """
    reader = _Reader(condition, parameters, fill)
    value = reader.either()
    if reader.next[0] != "end":
        reader.refuse(f"unexpected {reader.next[1]!r}")
    if not isinstance(value, bool):
        reader.refuse(f"it gives {value!r}, not true or false")
    return bool(value)


class _Reader:
    """A recursive-descent reader, one method a level of precedence, each returning a value."""

    def __init__(self, condition: str, parameters: Mapping[str, Any], fill: Fill | None) -> None:
        self._condition = condition
        self._parameters = parameters
        self._fill = fill
        self._tokens = self._split()
        self.next: Token = next(self._tokens)

    def refuse(self, why: str) -> None:
        raise UserError(f"the condition {self._condition!r} cannot be read: {why}")

    def either(self) -> Any:
        value = self._both()
        while self._takes("||"):
            other = self._both()
            value = value or other
        return value

    def _both(self) -> Any:
        value = self._comparison()
        while self._takes("&&"):
            other = self._comparison()
            value = value and other
        return value

    def _comparison(self) -> Any:
        left = self._operand()
        kind, sign = self.next
        if kind != "operator" or sign not in _COMPARISONS:
            return left
        self._advance()
        return self._compare(sign, left, self._operand())

    def _compare(self, sign: str, left: Any, right: Any) -> bool:
        if _family(left) == _family(right):
            return bool(_COMPARISONS[sign](left, right))
        if sign in ("<", "<=", ">", ">="):
            self.refuse(f"{left!r} and {right!r} have no order")
        return sign == "!="

    def _operand(self) -> Any:
        kind, value = self.next
        self._advance()
        if kind == "operator" and value == "!":
            return not self._operand()
        if kind == "operator" and value == "(":
            return self._closed()
        if kind == "call":
            return self._cast(value, self._closed())
        if kind == "operator" or kind == "end":
            self.refuse(f"unexpected {value or 'end'!r}")
        return value

    def _closed(self) -> Any:
        inner = self.either()
        if not self._takes(")"):
            self.refuse("a parenthesis is not closed")
        return inner

    def _cast(self, name: str, value: Any) -> Any:
        try:
            return _CASTS[name](value)
        except (TypeError, ValueError):
            return self.refuse(f"{value!r} is no {name}")

    def _takes(self, sign: str) -> bool:
        if self.next != ("operator", sign):
            return False
        self._advance()
        return True

    def _advance(self) -> None:
        self.next = next(self._tokens, ("end", ""))

    def _split(self) -> Iterator[Token]:
        position, text = 0, self._condition.rstrip()
        while position < len(text):
            match = _TOKEN.match(text, position)
            if not match:
                self.refuse(f"unexpected {text[position : position + 20]!r}")
                return
            position = match.end()
            yield self._token(match)
        yield ("end", "")

    def _token(self, match: re.Match[str]) -> Token:
        kind = next(name for name, value in match.groupdict().items() if value is not None)
        text = match[kind]
        if kind == "parameter":
            return "value", self._parameter(match["name"])
        if kind in ("text", "quoted"):
            literal = re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[0]), text, flags=re.DOTALL)
            return "value", self._fill(literal) if self._fill else literal
        if kind == "bool":
            return "value", text == "true"
        if kind == "number":
            return "value", float(text) if re.search(r"[.eE]", text) else int(text)
        return kind, text

    def _parameter(self, name: str) -> Any:
        if name not in self._parameters:
            self.refuse(f"there is no parameter {name!r}")
        return self._parameters[name]


def _family(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    return "number" if isinstance(value, int | float) else type(value).__name__


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
