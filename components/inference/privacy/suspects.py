"""Columns whose values look as if they told who somebody is: names, mail addresses, phone and card numbers, IBANs, IPs.

A column is found by the share of its different values that have the form, so that one company with a person's name in
it finds nothing. Card numbers have to pass Luhn's check and IBANs theirs, which random digits do in 1 of 10 and 1 of 97
cases.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from components.inference.columns import INPUT
from components.inference.privacy.actions import text
from components.inference.privacy.given_names import GIVEN_NAMES

_MOST = 1000
"""Different values of a column that are looked at."""

_MAIL = re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)*\.[A-Za-z]{2,}")
_CARD = re.compile(r"(?<![\d.])(?:\d[ -]?){12,18}\d(?![\d.])")
_CARD_STARTS = re.compile(r"4|5[1-5]|2[2-7]|3[47068]|6")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}\b")
_IP = re.compile(r"[0-9.]{7,15}|[0-9A-Fa-f:]{6,45}")
_PHONE = re.compile(
    r"\+\d{1,3}[ -./]?(?:\(?\d+\)?[ -./]?){2,6}\d|\(\d{2,5}\) ?\d{3,}(?:[ -]\d+)*|\d{3}[-. ]\d{3}[-. ]\d{4}"
)
_DIGITS = re.compile(r"[+\d][\d ()/.-]{6,18}\d")
_WORDS = re.compile(r"[^\W\d_]+(?:[-'.][^\W\d_]*)*")
_PHONE_NAMES = re.compile(r"(^|_)(tele)?(phone|mobile|cell|fax|msisdn|tel)(_|$)")
_NAME_NAMES = re.compile(
    r"(^|_)(first|last|full|middle|given|sur|family|customer|person|user|patient|driver)_?name(_|$)"
)


@dataclass(frozen=True)
class Finding:
    """A column that looks personal.

    Attributes:
        column: The column of the table.
        what: What its values look like, such as `mail addresses`.
        share: The share of its different values that do.
    """

    column: str
    what: str
    share: float

    def __str__(self) -> str:
        return f"{self.column.removeprefix(INPUT)} looks like {self.what} ({self.share:.0%} of its different values)"


def suspicious(columns: Mapping[str, Sequence[str]]) -> list[Finding]:
    """The columns that look personal, at most one finding for each.

    Args:
        columns: Values by column, as text; how often a value occurs does not matter.
    """
    found = [_finding(name, sorted({value.strip() for value in values} - {""})) for name, values in columns.items()]
    return [each for each in found if each]


def warning(findings: Sequence[Finding]) -> str:
    """What to say before the first row is stored, with the settings that mend it."""
    lines = [f"    {each.column.removeprefix(INPUT)}: hash" for each in findings]
    return "\n".join(
        [
            "these columns are about to be stored as they are: " + "; ".join(map(str, findings)),
            "  fix: give a file with these lines as --privacy FILE (drop, cut and generalise are there as well;",
            "  keep says that a column is meant to be stored), after `mkdir -p privacy-keys && openssl rand -hex 32 >",
            "  privacy-keys/k1`:",
            "privacy:",
            "  keys: privacy-keys",
            "  columns:",
            *lines,
        ]
    )


def values(rows: pa.Table) -> dict[str, list[str]]:
    """The first different values of each column, also those in lists, as text."""
    found = {name: _flat(rows.column(name).combine_chunks()) for name in rows.column_names}
    return {
        name: [text(each) for each in flat.drop_null().unique()[:_MOST].to_pylist()] for name, flat in found.items()
    }


def of_statistics(dataset: Any) -> dict[str, list[str]]:
    """The most frequent strings by column of the table, from TFDV's DatasetFeatureStatistics of the training data."""
    return {
        INPUT + (each.name or ".".join(each.path.step)): [top.value for top in each.string_stats.top_values]
        for each in dataset.features
        if each.string_stats.top_values
    }


def looks_personal(value: str) -> bool:
    """Whether a single text has the form of a mail address, card number, IBAN or phone number with its country code."""
    is_phone = value.startswith("+") and bool(_PHONE.fullmatch(value))
    return bool(_MAIL.search(value)) or _has_card(value) or _has_iban(value) or is_phone


def _finding(column: str, different: list[str]) -> Finding | None:
    different = different[:_MOST]
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", column.removeprefix(INPUT)).lower()
    for what, looks, least in _checks(name):
        share = sum(map(looks, different)) / max(1, len(different))
        if share >= least:
            return Finding(column, what, share)
    return None


def _checks(name: str) -> list[tuple[str, Callable[[str], bool], float]]:
    """What is looked for in a column of a name, with the share of values that is enough, the surest first."""
    phone = _is_any_phone if _PHONE_NAMES.search(name) else _is_phone
    person = _is_words if _NAME_NAMES.search(name) else _is_name
    return [
        ("mail addresses", lambda value: bool(_MAIL.search(value)), 0.05),
        ("IBANs", _has_iban, 0.3),
        ("card numbers", _has_card, 0.3),
        ("IP addresses", _is_ip, 0.5),
        ("phone numbers", phone, 0.3),
        ("names of persons", person, 0.3),
    ]


def _has_iban(value: str) -> bool:
    return any(_passes_97(match.replace(" ", "")) for match in _IBAN.findall(value))


def _passes_97(iban: str) -> bool:
    moved = iban[4:] + iban[:4]
    return int("".join(str(int(character, 36)) for character in moved)) % 97 == 1


def _has_card(value: str) -> bool:
    found = (re.sub(r"\D", "", match) for match in _CARD.findall(value))
    return any(_CARD_STARTS.match(digits) and _passes_luhn(digits) for digits in found)


def _passes_luhn(digits: str) -> bool:
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return sum(each - 9 if each > 9 else each for each in doubled) % 10 == 0


def _is_ip(value: str) -> bool:
    if not _IP.fullmatch(value):
        return False
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def _is_phone(value: str) -> bool:
    return bool(_PHONE.fullmatch(value)) and 7 <= len(re.sub(r"\D", "", value)) <= 15


def _is_any_phone(value: str) -> bool:
    return bool(_DIGITS.fullmatch(value)) and 7 <= len(re.sub(r"\D", "", value)) <= 15


def _is_words(value: str) -> bool:
    return bool(_WORDS.fullmatch(value.split()[0])) and len(value.split()) <= 4


def _is_name(value: str) -> bool:
    """One to four capitalised words, of which the first, or the one after a comma, is a given name."""
    words = value.replace(",", " ").split()
    if not 1 <= len(words) <= 4 or not all(_WORDS.fullmatch(word) and word[0].isupper() for word in words):
        return False
    first = value.partition(",")[2].split() or words
    return first[0].lower() in GIVEN_NAMES


def _flat(values: pa.Array) -> pa.Array:
    kind = values.type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return _flat(values.flatten()) if is_list else values
