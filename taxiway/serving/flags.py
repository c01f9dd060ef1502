"""TF Serving's flags (its main.cc) and their counterparts here, for commands that were written for TF Serving."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from components.contract.errors import UserError

PAGE = "docs/serving/flags.md"


@dataclass(frozen=True)
class Flag:
    """A TF Serving flag.

    Attributes:
        name: The name without the dashes.
        ours: The option or argument that does the same here; empty if there is none.
        note: How it differs, or why there is no counterpart.
    """

    name: str
    ours: str
    note: str = ""


_NO_EFFECT = "no effect: "
_UNSUPPORTED = "not supported: "

FLAGS = (
    Flag("port", "--port", "0 picks a free port; in TF Serving it disables gRPC over TCP"),
    Flag("grpc_socket_path", "--grpc-socket", "in addition to the port"),
    Flag("rest_api_port", "--rest-port", "0 picks a free port; in TF Serving it disables REST, and is the default"),
    Flag(
        "rest_api_num_threads", "", _NO_EFFECT + "an event loop handles requests, and models run in their own threads"
    ),
    Flag("rest_api_timeout_in_ms", "--rest-timeout-seconds", "in seconds"),
    Flag("rest_api_enable_cors_support", "--cors"),
    Flag("enable_batching", "--enable-batching"),
    Flag("allow_version_labels_for_unavailable_models", "--allow-labels-of-unavailable-versions"),
    Flag("batching_parameters_file", "--batching-parameters-file", "implies --enable-batching"),
    Flag("enable_per_model_batching_parameters", "--per-model-batching", "implies --enable-batching"),
    Flag("model_config_file", "--config", "relative base paths are relative to the file's folder"),
    Flag(
        "model_config_file_poll_wait_seconds",
        "--poll-seconds",
        "one setting for the file and the base paths; by default, TF Serving reads the file once",
    ),
    Flag("model_name", "--model-name", "default: the folder's name; in TF Serving: `default`"),
    Flag("model_base_path", "FOLDER", "a positional argument"),
    Flag("num_load_threads", "", _NO_EFFECT + "versions are loaded one after another, in a low-priority thread"),
    Flag("num_unload_threads", "", _NO_EFFECT + "versions are unloaded in the thread that loads them"),
    Flag("max_num_load_retries", "", _NO_EFFECT + "a failed load is retried when the version's files change"),
    Flag("load_retry_interval_micros", "", _NO_EFFECT + "a failed load is retried when the version's files change"),
    Flag(
        "file_system_poll_wait_seconds",
        "--poll-seconds",
        "0 checks once, at startup; may be fractional; negative values, which TF Serving uses in tests, are refused",
    ),
    Flag("flush_filesystem_caches", "", _NO_EFFECT + "models are read from folders, which the kernel caches"),
    Flag(
        "tensorflow_session_parallelism",
        "--tensorflow-intra-op-parallelism",
        "in TF Serving, it also sets the inter-op threads",
    ),
    Flag("tensorflow_session_config_file", "", _UNSUPPORTED + "the server configures its sessions itself"),
    Flag("tensorflow_intra_op_parallelism", "--tensorflow-intra-op-parallelism"),
    Flag(
        "tensorflow_inter_op_parallelism",
        "",
        _NO_EFFECT + "the operations of a request run in one thread; several requests run at the same time",
    ),
    Flag("use_alts_credentials", "", _UNSUPPORTED + "ALTS works on Google's machines only; use --tls-cert"),
    Flag(
        "ssl_config_file",
        "--tls-cert",
        "with --tls-key, and --tls-client-ca for `custom_ca` and `client_verify`: PEM files instead of a message with "
        "their content; REST uses them too",
    ),
    Flag("platform_config_file", "", _UNSUPPORTED + "the only platform is TensorFlow's SavedModel"),
    Flag("per_process_gpu_memory_fraction", "", _NO_EFFECT + "GPU memory is allocated as needed"),
    Flag("saved_model_tags", "--saved-model-tags"),
    Flag("grpc_channel_arguments", "--grpc-argument", "one option per NAME=VALUE instead of commas"),
    Flag("grpc_max_threads", "", _NO_EFFECT + "an event loop handles requests; --max-waiting limits the queue"),
    Flag(
        "enable_model_warmup", "", _NO_EFFECT + "a version with warm-up requests always runs them before it is served"
    ),
    Flag("num_request_iterations_for_warmup", "", _NO_EFFECT + "each warm-up request runs once"),
    Flag("version", "", _UNSUPPORTED + "use `taxiway --version`"),
    Flag("monitoring_config_file", "--monitoring-config-file"),
    Flag("remove_unused_fields_from_bundle_metagraph", "", _NO_EFFECT + "only a graph's signatures are kept"),
    Flag("prefer_tflite_model", "", _UNSUPPORTED + "TensorFlow Lite models are not served"),
    Flag("num_tflite_pools", "", _UNSUPPORTED + "TensorFlow Lite models are not served"),
    Flag("num_tflite_interpreters_per_pool", "", _UNSUPPORTED + "TensorFlow Lite models are not served"),
    Flag(
        "enable_signature_method_name_check",
        "",
        _UNSUPPORTED + "Classify and Regress accept TensorFlow 2 signatures, which is TF Serving's default",
    ),
    Flag("xla_cpu_compilation_enabled", "", _NO_EFFECT + "functions that the model marks for XLA are compiled"),
    Flag("xla_gpu_compilation_enabled", "", _NO_EFFECT + "functions that the model marks for XLA are compiled"),
    Flag("enable_profiler", "", _UNSUPPORTED + "there is no profiler service"),
    Flag("thread_pool_factory_config_file", "", _UNSUPPORTED + "thread pools cannot be replaced"),
    Flag("mixed_precision", "", _UNSUPPORTED + "a model runs with the types that it was saved with"),
    Flag("skip_initialize_tpu", "", _UNSUPPORTED + "TPUs are not supported"),
    Flag("enable_grpc_healthcheck_service", "", _NO_EFFECT + "the gRPC health service is always on"),
    Flag(
        "enable_serialization_as_tensor_content",
        "",
        _UNSUPPORTED + "responses hold values in typed fields, which is TF Serving's default",
    ),
)


def refuse(arguments: Sequence[str]) -> None:
    """Refuses flags that only TF Serving has.

    Raises:
        UserError: Names all of them and their counterparts.
    """
    own = {flag.ours for flag in FLAGS}
    known = {f"--{flag.name}": flag for flag in FLAGS if f"--{flag.name}" not in own}
    before = arguments[: arguments.index("--")] if "--" in arguments else arguments
    given = [known[name] for argument in before if (name := argument.partition("=")[0]) in known]
    if given:
        names = " and ".join(f"--{flag.name}" for flag in given)
        raise UserError(
            f"{names}: flags of TF Serving, not of this command",
            fix=f"{'; '.join(map(_instead, given))} (full list: {PAGE})",
        )


def _instead(flag: Flag) -> str:
    how = f" ({flag.note})" if flag.note else ""
    return f"use {flag.ours} instead of --{flag.name}{how}" if flag.ours else f"remove --{flag.name} ({flag.note})"
