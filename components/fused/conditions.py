"""Evaluates the conditions of a compiled pipeline, without running them as code.

Conditions are written in CEL (Common Expression Language). Kubeflow's compiler only emits comparisons of input
parameters and literals, combined by `&&`, `||` and `!`, with casts: `int(...)`, `double(...)` and `string(...)`. Values
of parameters are only compared, so an expression in a value is never evaluated.

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
        fill: Fills the placeholders in the condition's literals; by default they are left as they are.

    Raises:
        UserError: The condition is not one that Kubeflow's compiler writes, has an unknown parameter, or orders values
            of different types.
    """
    parser = _Parser(condition, parameters, fill)
    value = parser.or_expression()
    if parser.next[0] != "end":
        parser.reject(f"unexpected {parser.next[1]!r}")
    if not isinstance(value, bool):
        parser.reject(f"its value is {value!r}, not true or false")
    return bool(value)


class _Parser:
    """A recursive-descent parser with one method per level of precedence, each returning a value."""

    def __init__(self, condition: str, parameters: Mapping[str, Any], fill: Fill | None) -> None:
        self._condition = condition
        self._parameters = parameters
        self._fill = fill
        self._tokens = self._tokenized()
        self.next: Token = next(self._tokens)

    def reject(self, reason: str) -> None:
        raise UserError(f"the condition {self._condition!r} cannot be read: {reason}")

    def or_expression(self) -> Any:
        value = self._and_expression()
        while self._accepts("||"):
            other = self._and_expression()
            value = value or other
        return value

    def _and_expression(self) -> Any:
        value = self._comparison()
        while self._accepts("&&"):
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
            self.reject(f"{left!r} and {right!r} have no order")
        return sign == "!="

    def _operand(self) -> Any:
        kind, value = self.next
        self._advance()
        if kind == "operator" and value == "!":
            return not self._operand()
        if kind == "operator" and value == "(":
            return self._parenthesized()
        if kind == "call":
            return self._cast(value, self._parenthesized())
        if kind == "operator" or kind == "end":
            self.reject(f"unexpected {value or 'end'!r}")
        return value

    def _parenthesized(self) -> Any:
        inner = self.or_expression()
        if not self._accepts(")"):
            self.reject("a parenthesis is not closed")
        return inner

    def _cast(self, name: str, value: Any) -> Any:
        try:
            return _CASTS[name](value)
        except (TypeError, ValueError):
            return self.reject(f"{value!r} is not of type {name}")

    def _accepts(self, sign: str) -> bool:
        if self.next != ("operator", sign):
            return False
        self._advance()
        return True

    def _advance(self) -> None:
        self.next = next(self._tokens, ("end", ""))

    def _tokenized(self) -> Iterator[Token]:
        position, text = 0, self._condition.rstrip()
        while position < len(text):
            match = _TOKEN.match(text, position)
            if not match:
                self.reject(f"unexpected {text[position : position + 20]!r}")
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
            self.reject(f"there is no parameter {name!r}")
        return self._parameters[name]


def _family(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    return "number" if isinstance(value, int | float) else type(value).__name__


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
