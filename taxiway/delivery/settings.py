"""The settings of a rollout: the section `delivery` of loop.yaml, or a file of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from components.contract.errors import UserError
from components.contract.settings import named, nearest, require_choice, typed
from components.contract.times import duration
from taxiway import yaml_files

_Kind = TypeVar("_Kind")
CANARY, BLUE_GREEN, SHADOW = "canary", "blue-green", "shadow"
STRATEGIES = (CANARY, BLUE_GREEN, SHADOW)


@dataclass(frozen=True)
class Step:
    """A share of the traffic, and what it takes to go on.

    Attributes:
        weight: The challenger's share in percent; 0 only before a switch or with a shadow.
        least_time: The least time at this share.
        least_requests: The least number of requests that the challenger has to answer; of a step of weight 0, those
            of the champion, or the shadow.
        approval: Whether a person has to approve before the next step, or before the promotion after the last one.
    """

    weight: float
    least_time: timedelta = timedelta(minutes=10)
    least_requests: int = 1000
    approval: bool = False


@dataclass(frozen=True)
class Errors:
    """The guardrail of errors.

    Attributes:
        tolerance: How much higher the challenger's share of failed requests may be, such as 0.001.
    """

    tolerance: float = 0.0


@dataclass(frozen=True)
class Latency:
    """The guardrail of latency.

    Attributes:
        tolerance: How much slower the challenger may be, as a share of the champion's latency.
    """

    tolerance: float = 0.1


@dataclass(frozen=True)
class Drift:
    """The guardrail of predictions.

    Attributes:
        output: The output to compare; empty for the model's only output.
        tolerance: How far the distributions of predictions may be apart: Kolmogorov and Smirnov's distance, 0 to 1.
    """

    output: str = ""
    tolerance: float = 0.2


@dataclass(frozen=True)
class Business:
    """The guardrail of a business metric: the mean of an outcome that was taken in as a label.

    Attributes:
        label: The outcome's name.
        better: `higher` or `lower`.
        tolerance: How much worse the challenger's mean may be, in the outcome's units.
        margin: If above 0, a step is a success only if it is sure that the challenger is at most this much worse.
        delay: How long after its request an outcome is waited for; later ones do not count.
        absent: The outcome of a request without a label after this time; null leaves it out.
    """

    label: str
    better: str = "higher"
    tolerance: float = 0.0
    margin: float = 0.0
    delay: timedelta = timedelta(minutes=10)
    absent: float | None = None


@dataclass(frozen=True)
class Guardrails:
    """What the challenger must not do worse; None for what is not looked at."""

    errors: Errors | None = Errors()
    latency: Latency | None = Latency()
    drift: Drift | None = None
    business: Business | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The guardrails that are in use."""
        return tuple(name for name in ("errors", "latency", "drift", "business") if getattr(self, name))


@dataclass(frozen=True)
class KServe:
    """An InferenceService whose canaryTrafficPercent is written."""

    namespace: str
    name: str


@dataclass(frozen=True)
class HttpRoute:
    """An HTTPRoute of the Gateway API, whose backends' weights are written.

    Attributes:
        namespace: Its namespace.
        name: Its name.
        champion: The Service of the champion.
        challenger: The Service of the challenger.
    """

    namespace: str
    name: str
    champion: str
    challenger: str


@dataclass(frozen=True)
class Weights:
    """Where the weights are written: exactly one of these.

    Attributes:
        route: The URLs of the admin APIs of `taxiway route`.
        kserve: An InferenceService.
        http_route: An HTTPRoute.
    """

    route: tuple[str, ...] = ()
    kserve: KServe | None = None
    http_route: HttpRoute | None = None


CANARY_STEPS = (Step(1), Step(5), Step(25), Step(50), Step(100, timedelta(0), 0))
_BEFORE = Step(0)
_SWITCHED = Step(100)


@dataclass(frozen=True)
class Delivery:
    """How a version is rolled out.

    Attributes:
        weights: Where the weights are written.
        strategy: `canary`, `blue-green` or `shadow`.
        steps: The steps; by default those of the strategy.
        guardrails: What is compared.
        level: The chance that an equal challenger is taken back, over all steps and guardrails.
        champion: The proxy's target of the champion.
        challenger: The proxy's target of the challenger.
        tables: The root of the inference tables; empty for none.
        evidence: Where errors and latency come from: `route` (the proxy's metrics) or `tables`.
        pause_limit: How long a rollout may pause before it is taken back.
        silence: How long there may be no evidence before a rollout pauses.
        warm_up: How long after a change of the weights latencies do not count: a model's first requests are slow.
        destination: Where the versions are, to move labels; empty if labels are not Taxiway's business.
        config: The models.config with the labels; empty for the one at the destination.
    """

    weights: Weights
    strategy: str = CANARY
    steps: tuple[Step, ...] = ()
    guardrails: Guardrails = field(default_factory=Guardrails)
    level: float = 0.05
    champion: str = "stable"
    challenger: str = "canary"
    tables: str = ""
    evidence: str = "route"
    pause_limit: timedelta = timedelta(days=1)
    silence: timedelta = timedelta(minutes=1)
    warm_up: timedelta = timedelta(seconds=5)
    destination: str = ""
    config: str = ""


def parsed(given: Any, where: str = "delivery") -> Delivery:
    """The settings.

    Raises:
        UserError: A setting is unknown, missing or wrong; names it.
    """
    found = named(given, Delivery, where)
    require_choice(found.get("strategy", CANARY), STRATEGIES, f"{where}.strategy")
    read = {
        **found,
        "weights": _weights(found["weights"], f"{where}.weights"),
        "guardrails": _guardrails(found.get("guardrails", {}), f"{where}.guardrails"),
        "steps": _steps(found.get("steps"), found.get("strategy", CANARY), f"{where}.steps"),
    }
    settings = _typed(read, Delivery, where)
    _check(settings, where)
    return settings


def read(file: Path) -> Any:
    """The settings in a file as `parsed` takes them: its section `delivery`, or all of it.

    Raises:
        UserError: It cannot be read, is not YAML, or a setting is wrong.
    """
    given = yaml_files.read(file, fix="give a loop.yaml, or a file with its delivery")
    if isinstance(given, Mapping) and "delivery" in given:
        found, where = given["delivery"], f"{file}: delivery"
    else:
        found, where = given, str(file)
    parsed(found, where)
    return found


def _typed(found: Mapping[str, Any], kind: type[_Kind], where: str) -> _Kind:
    """As `typed`, with lengths of time as people write them, and tuples that are checked already."""
    spans = {each.name for each in fields(kind) if each.type == "timedelta"}  # type: ignore[arg-type]
    tuples = {name: value for name, value in found.items() if isinstance(value, tuple)}
    plain = {n: duration(str(v), f"{where}.{n}") if n in spans else v for n, v in found.items() if n not in tuples}
    return replace(typed(plain, kind, where), **tuples)  # type: ignore[type-var]


def _weights(given: Any, where: str) -> Weights:
    found = named(given, Weights, where)
    if len(found) != 1:
        raise UserError(f"{where} has {', '.join(found) or 'nothing'}", fix="give one of route, kserve, http_route")
    [(name, value)] = found.items()
    if name == "route":
        return Weights(route=_urls(value, f"{where}.route"))
    at = f"{where}.{name}"
    if name == "kserve":
        return Weights(kserve=typed(named(value, KServe, at), KServe, at))
    return Weights(http_route=typed(named(value, HttpRoute, at), HttpRoute, at))


def _urls(given: Any, where: str) -> tuple[str, ...]:
    urls = [given] if isinstance(given, str) else given
    if not isinstance(urls, list) or not urls:
        raise UserError(f"{where} is {given!r}", fix="write the URL of an admin API, such as http://127.0.0.1:8602")
    for url in urls:
        parts = urlsplit(url) if isinstance(url, str) else None
        if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
            raise UserError(f"{where} has {url!r}", fix="write http:// and a host, such as http://127.0.0.1:8602")
    return tuple(url.rstrip("/") for url in urls)


def _guardrails(given: Any, where: str) -> Guardrails:
    kinds = {"errors": Errors, "latency": Latency, "drift": Drift, "business": Business}
    if not isinstance(given, Mapping):
        raise UserError(f"{where} takes a map, not {given!r}", fix=f"its settings are {', '.join(kinds)}")
    for name in given:
        if name not in kinds:
            raise UserError(f"{where} has no setting {name!r}", fix=nearest(name, kinds))
    read = {name: _guardrail(kinds[name], value, f"{where}.{name}") for name, value in given.items()}
    return Guardrails(**read)


def _guardrail(kind: type, given: Any, where: str) -> Any:
    if given is False:
        return None
    found: Any = _typed(named({} if given is True or given is None else given, kind, where), kind, where)
    if found.tolerance < 0 or getattr(found, "margin", 0) < 0:
        raise UserError(f"{where} has a negative tolerance or margin", fix="use 0 or more")
    if isinstance(found, Business):
        require_choice(found.better, ("higher", "lower"), f"{where}.better")
    return found


def _steps(given: Any, strategy: str, where: str) -> tuple[Step, ...]:
    if given is None:
        return {CANARY: CANARY_STEPS, BLUE_GREEN: (_BEFORE, _SWITCHED), SHADOW: (_BEFORE, *CANARY_STEPS)}[strategy]
    if not isinstance(given, list) or not given:
        raise UserError(f"{where} is {given!r}", fix="write a list, such as [{weight: 5}, {weight: 100}]")
    steps = tuple(_typed(named(each, Step, f"{where}[{n}]"), Step, f"{where}[{n}]") for n, each in enumerate(given))
    _check_steps(steps, strategy, where)
    return steps


def _check_steps(steps: tuple[Step, ...], strategy: str, where: str) -> None:
    weights = [step.weight for step in steps]
    if weights != sorted(set(weights)) or weights[0] < 0 or weights[-1] != 100:
        raise UserError(f"{where} has the weights {weights}", fix="let them grow from step to step, up to 100")
    if (weights[0] == 0) != (strategy != CANARY):
        fix = {CANARY: "begin above 0"}.get(
            strategy, "begin with weight 0, where the champion or the shadow is measured"
        )
        raise UserError(f"{where} begins with the weight {weights[0]:g}", fix=fix)
    if strategy == BLUE_GREEN and weights != [0, 100]:
        raise UserError(f"{where} has the weights {weights}", fix="blue-green has the steps 0 and 100, or use canary")
    for number, step in enumerate(steps):
        if step.least_requests < 0:
            raise UserError(f"{where}[{number}].least_requests is {step.least_requests}", fix="use 0 or more")


def _check(settings: Delivery, where: str) -> None:
    require_choice(settings.evidence, ("route", "tables"), f"{where}.evidence")
    if not 0 < settings.level < 1:
        raise UserError(f"{where}.level is {settings.level}", fix="use a number between 0 and 1, such as 0.05")
    if settings.champion == settings.challenger:
        raise UserError(f"{where}.challenger is the champion's target", fix="name another target of the proxy")
    guardrails = settings.guardrails
    if (guardrails.drift or guardrails.business or settings.evidence == "tables") and not settings.tables:
        raise UserError(f"{where}.tables is missing", fix="name the root of the inference tables")
    if settings.strategy == BLUE_GREEN and (guardrails.drift or guardrails.business):
        raise UserError(
            f"{where}.guardrails has drift or business, but blue and green answer one after the other",
            fix="leave them out, or use the strategy canary, which compares requests of the same time",
        )
    if settings.weights.kserve:
        _check_kserve(settings.steps, f"{where}.steps")
    if settings.evidence == "route" and not settings.weights.route:
        raise UserError(f"{where}.evidence is route, without a proxy", fix="set evidence: tables, and tables: ROOT")


def _check_kserve(steps: tuple[Step, ...], where: str) -> None:
    for number, step in enumerate(steps):
        if step.weight % 1:
            raise UserError(
                f"{where}[{number}].weight is {step.weight}", fix="use whole numbers: KServe takes no others"
            )
    if steps[-1].least_time or steps[-1].least_requests or steps[-1].approval:
        raise UserError(
            f"{where}: the last step waits, but KServe forgets the champion once the challenger has everything",
            fix="set least_time: 0s and least_requests: 0 of the step of 100 %, and let the step before it wait",
        )
