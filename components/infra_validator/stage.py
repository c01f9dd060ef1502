"""InfraValidator: serves a candidate before it gets any traffic, checks its answers, and adds warm-up requests.

## Where the candidate is served

`serving` has one of these keys:

- `{"local": {}}`: Taxiway's model server, as a process beside the stage.
- `{"docker": {"image": "tensorflow/serving:2.19.0"}}`: a container, started over Docker's or Podman's socket. More
  settings: `args`, `environment`, `socket`.
- `{"kubernetes": {"image": ..., "staging": ...}}`: a pod. `staging` is where both the stage and the pod can read the
  candidate: a URL such as `gs://bucket/staging`, or the folder where the claim `volume_claim` is mounted in the stage.
  More settings: `namespace`, `service_account`, `resources`, `args`, `environment`.

The last two are tested against servers that imitate Docker's and Kubernetes' APIs. They have not been run with TF
Serving's image or on a cluster yet.

## What is checked, in this order

| step | it fails if |
| --- | --- |
| `start` | the server exits, or does not answer in time |
| `load` | the server reports that the model failed to load, or the model is not AVAILABLE in time |
| `request` | the server refuses a request |
| `answer` | an output is missing, or its dtype, shape or number of rows does not match the signature and the request; a number is not finite; the same request gets different answers |
| `latency` | the 99th percentile of a signature is above `max_latency_ms` |

`report.json` in the blessing has `blessed`, `step`, `message` and the end of the server's output (`log`). Measurements,
which differ each time, are in the blessing's metadata: the number of `tries`, `loading_seconds`, and under `latency`,
for each signature, the number of requests and their latency in ms.
"""  # noqa: E501 (a table's row is one line)

from __future__ import annotations

from typing import Annotated, NamedTuple

from components.contract.artifacts import (
    CustomOps,
    Examples,
    ExamplesSplits,
    InfraBlessing,
    Input,
    Model,
    Output,
    Role,
)
from components.contract.declaration import Stage
from components.contract.libraries import TENSORFLOW, VALIDATION
from components.infra_validator.servers import platforms

ServingPlatform = Annotated[dict, Role("Serving", check=platforms.parse)]


class Blessed(NamedTuple):
    """Whether the candidate loads and answers."""

    blessed: bool


def infra_validator(
    model: Input[Model],
    blessing: Output[InfraBlessing],
    examples: Input[Examples] | None = None,
    serving: ServingPlatform = {"local": {}},
    splits: ExamplesSplits = ["eval"],
    signatures: list = [],
    num_examples: int = 20,
    max_latency_ms: float = 0.0,
    max_loading_seconds: float = 300.0,
    num_tries: int = 2,
    make_warmup: bool = True,
    must_pass: bool = False,
    custom_ops: CustomOps = [],
) -> Blessed:
    """Starts a model server for a candidate, waits until it is AVAILABLE, sends real examples and checks the answers.

    A signature whose inputs are columns of the examples gets plain values; one with a single input of strings gets
    serialized tf.Examples; signatures for Classify and Regress are called with these methods. Each signature gets one
    example at a time, and all of them at once.

    A candidate that fails is not blessed, which is not an error unless `must_pass` is set. If the settings or the
    machine are to blame (no such image, no Docker), the stage fails without a verdict on the candidate.

    Args:
        model: The candidate.
        blessing: `INFRA_BLESSED` or `INFRA_NOT_BLESSED`, `report.json`, and the stamped model.
        examples: Raw rows to send; without them, the candidate is only loaded.
        serving: Where the candidate is served.
        splits: The splits to take examples from.
        signatures: The signatures to call; default: all whose inputs the examples have.
        num_examples: The number of examples to send.
        max_latency_ms: The limit for the 99th percentile of the latency of requests with one example; 0 for no limit.
        max_loading_seconds: How long the server may take until the model is AVAILABLE.
        num_tries: The number of tries before the candidate counts as failed.
        make_warmup: Write the requests into a copy of the model, as `assets.extra/tf_serving_warmup_requests`.
        must_pass: Fail if the candidate fails.
        custom_ops: Libraries of operations that the model uses and TensorFlow lacks, for the local server: Python
            modules (`tensorflow_text`) and `.so` files.
        blessed: Whether the candidate loads and answers.
    """
    from components.infra_validator.validate import Checks, validate

    platform = platforms.parse(serving)
    checks = Checks(
        splits=splits,
        signatures=signatures,
        num_examples=num_examples,
        max_latency_ms=max_latency_ms,
        max_loading_seconds=max_loading_seconds,
        num_tries=num_tries,
        make_warmup=make_warmup,
        must_pass=must_pass,
    )
    return Blessed(
        validate(model, examples=examples, blessing=blessing, platform=platform, checks=checks, custom_ops=custom_ops)
    )


STAGE = Stage(
    function=infra_validator, image="train", loads=(TENSORFLOW, VALIDATION), after="evaluator", has_report=True
)
