"""InfraValidator: a candidate is served and asked, before any traffic, and stamped with warm-up requests.

## Where the candidate is served

`serving` names one place:

- `{"local": {}}`: Taxiway's model server, as a process beside the stage.
- `{"docker": {"image": "tensorflow/serving:2.19.0"}}`: a container on Docker's or Podman's socket. More settings:
  `args`, `environment`, `socket`.
- `{"kubernetes": {"image": ..., "staging": ...}}`: a pod. `staging` is where both the stage and the pod can read the
  candidate: a URL such as `gs://bucket/staging`, or the folder where the claim `volume_claim` is mounted in the stage.
  More settings: `namespace`, `service_account`, `resources`, `args`, `environment`.

The last two are tested against servers that answer as Docker's and Kubernetes' APIs do; with TF Serving's image, and on a
cluster, they have not been run yet.

## What is checked, in this order

| step | it fails where |
| --- | --- |
| `start` | the server ends, or does not answer in time |
| `load` | the server reports that the model did not load, or is not AVAILABLE in time |
| `request` | the server refuses a request |
| `answer` | an output is missing or has another dtype, shape or number of rows than the signature and the request say; a number is not finite; the same request is answered differently |
| `latency` | the 99th percentile of a signature is above `max_latency_ms` |

`report.json` in the blessing has `blessed`, `step`, `message` and the server's last words (`log`). What is measured, and
so differs each time, is in the blessing's metadata: the number of `tries`, `loading_seconds`, and under `latency` for
each signature the number of requests and their latency in ms.
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
    """Starts a model server on a candidate, waits until it is AVAILABLE, asks it real examples and checks the answers.

    A signature whose inputs are columns of the examples is asked for plain values, one with a single input of strings
    for serialized tf.Examples; the methods Classify and Regress are called where a signature has them. Each is asked
    for one example at a time, and for all of them at once.

    A candidate that fails is not blessed, which is no error unless `must_pass` says so. Where the failure lies with
    the settings or the machine (no such image, no Docker), the stage fails and says nothing about the candidate.

    Args:
        model: The candidate.
        blessing: `INFRA_BLESSED` or `INFRA_NOT_BLESSED`, `report.json`, and the stamped model.
        examples: Raw rows to ask for; without them the candidate is only loaded.
        serving: Where the candidate is served.
        splits: The splits that examples are taken from.
        signatures: The signatures to ask; by default all whose inputs the examples have.
        num_examples: How many examples are asked for.
        max_latency_ms: The most that the 99th percentile of a request of one example may take; 0 for any.
        max_loading_seconds: How long the server may take until the model is AVAILABLE.
        num_tries: How often the candidate is tried before it counts as failed.
        make_warmup: Write the requests into a copy of the model, as `assets.extra/tf_serving_warmup_requests`.
        must_pass: Fail where the candidate does.
        custom_ops: Libraries of operations that the model has and TensorFlow has not, for the local server: Python
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


STAGE = Stage(function=infra_validator, image="train", loads=(TENSORFLOW, VALIDATION), after="evaluator")
