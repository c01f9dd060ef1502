"""TF Serving's flags (its main.cc), and what stands for each here: manifests that were written for it name them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from components.contract.errors import UserError

PAGE = "docs/serving/flags.md"


@dataclass(frozen=True)
class Flag:
    """A flag of TF Serving's.

    Attributes:
        name: Without the dashes.
        ours: What says the same here, an option or an argument; empty where nothing does.
        note: How that differs; or why there is none, and what to do.
    """

    name: str
    ours: str
    note: str = ""


_ALWAYS = "no effect here: "
_NEVER = "not there, because "

FLAGS = (
    Flag("port", "--port", "0 is any free port; there it turns gRPC over TCP off"),
    Flag("grpc_socket_path", "--grpc-socket", "beside the port"),
    Flag("rest_api_port", "--rest-port", "0 is any free port; there, and by default there, it turns REST off"),
    Flag("rest_api_num_threads", "", _ALWAYS + "an event loop answers, and models run in threads of their own"),
    Flag("rest_api_timeout_in_ms", "--rest-timeout-seconds", "in seconds"),
    Flag("rest_api_enable_cors_support", "--cors"),
    Flag("enable_batching", "--enable-batching"),
    Flag("allow_version_labels_for_unavailable_models", "--allow-labels-of-unavailable-versions"),
    Flag("batching_parameters_file", "--batching-parameters-file", "batches without --enable-batching too"),
    Flag("enable_per_model_batching_parameters", "--per-model-batching", "batches without --enable-batching too"),
    Flag("model_config_file", "--config", "relative base paths begin at the file's folder"),
    Flag(
        "model_config_file_poll_wait_seconds",
        "--poll-seconds",
        "one setting for the file and the base paths; there, the file is read once by default",
    ),
    Flag("model_name", "--model-name", "the folder's name by default; there, `default`"),
    Flag("model_base_path", "FOLDER", "the argument, without a name"),
    Flag("num_load_threads", "", _ALWAYS + "versions are loaded one after the other, in a thread that gives way"),
    Flag("num_unload_threads", "", _ALWAYS + "versions are let go in the thread that loads them"),
    Flag("max_num_load_retries", "", _ALWAYS + "a version that does not load is tried again when its files change"),
    Flag(
        "load_retry_interval_micros", "", _ALWAYS + "a version that does not load is tried again when its files change"
    ),
    Flag(
        "file_system_poll_wait_seconds",
        "--poll-seconds",
        "0 looks once, at the start; fractions are taken; negative values, which are for tests there, are refused",
    ),
    Flag("flush_filesystem_caches", "", _ALWAYS + "models lie in folders, whose cache is the kernel's"),
    Flag(
        "tensorflow_session_parallelism",
        "--tensorflow-intra-op-parallelism",
        "sets the threads between operations too there",
    ),
    Flag("tensorflow_session_config_file", "", _NEVER + "the server makes its own sessions' settings"),
    Flag("tensorflow_intra_op_parallelism", "--tensorflow-intra-op-parallelism"),
    Flag(
        "tensorflow_inter_op_parallelism",
        "",
        _ALWAYS + "the operations of a request run in one thread; several requests run at a time",
    ),
    Flag("use_alts_credentials", "", _NEVER + "ALTS works on Google's machines alone; there is --tls-cert"),
    Flag(
        "ssl_config_file",
        "--tls-cert",
        "with --tls-key, and --tls-client-ca for `custom_ca` and `client_verify`: PEM files, not a message with their "
        "content; they encrypt REST too",
    ),
    Flag("platform_config_file", "", _NEVER + "there is one platform, SavedModels of TensorFlow"),
    Flag("per_process_gpu_memory_fraction", "", _ALWAYS + "a GPU's memory is taken as it is needed"),
    Flag("saved_model_tags", "--saved-model-tags"),
    Flag("grpc_channel_arguments", "--grpc-argument", "once for each NAME=VALUE, not separated by commas"),
    Flag("grpc_max_threads", "", _ALWAYS + "an event loop answers; --max-waiting bounds what waits for a model"),
    Flag("enable_model_warmup", "", _ALWAYS + "a version that has warm-up requests answers them before it is served"),
    Flag("num_request_iterations_for_warmup", "", _ALWAYS + "each warm-up request is answered once"),
    Flag("version", "", _NEVER + "--version stands before the command's name"),
    Flag("monitoring_config_file", "--monitoring-config-file"),
    Flag("remove_unused_fields_from_bundle_metagraph", "", _ALWAYS + "of a model's graph only signatures are kept"),
    Flag("prefer_tflite_model", "", _NEVER + "models of TensorFlow Lite are not served"),
    Flag("num_tflite_pools", "", _NEVER + "models of TensorFlow Lite are not served"),
    Flag("num_tflite_interpreters_per_pool", "", _NEVER + "models of TensorFlow Lite are not served"),
    Flag(
        "enable_signature_method_name_check",
        "",
        _NEVER + "Classify and Regress take the signatures of TensorFlow 2, as they do there by default",
    ),
    Flag("xla_cpu_compilation_enabled", "", _ALWAYS + "what a model marks for XLA is compiled"),
    Flag("xla_gpu_compilation_enabled", "", _ALWAYS + "what a model marks for XLA is compiled"),
    Flag("enable_profiler", "", _NEVER + "there is no profiler service"),
    Flag("thread_pool_factory_config_file", "", _NEVER + "thread pools cannot be replaced"),
    Flag("mixed_precision", "", _NEVER + "a model runs with the types that it was saved with"),
    Flag("skip_initialize_tpu", "", _NEVER + "TPUs are not served on"),
    Flag("enable_grpc_healthcheck_service", "", _ALWAYS + "gRPC's health service is always there"),
    Flag(
        "enable_serialization_as_tensor_content",
        "",
        _NEVER + "answers hold their values in typed fields, as they do there by default",
    ),
)


def refuse(arguments: Sequence[str]) -> None:
    """Refuses a command line with flags that are TF Serving's alone.

    Raises:
        UserError: Names all of them, and what to write.
    """
    own = {flag.ours for flag in FLAGS}
    known = {f"--{flag.name}": flag for flag in FLAGS if f"--{flag.name}" not in own}
    before = arguments[: arguments.index("--")] if "--" in arguments else arguments
    given = [known[name] for argument in before if (name := argument.partition("=")[0]) in known]
    if given:
        names = " and ".join(f"--{flag.name}" for flag in given)
        raise UserError(
            f"{names}: TF Serving's, not this command's",
            fix=f"{'; '.join(map(_instead, given))} ({PAGE} has them all)",
        )


def _instead(flag: Flag) -> str:
    how = f" ({flag.note})" if flag.note else ""
    return f"for --{flag.name} write {flag.ours}{how}" if flag.ours else f"leave out --{flag.name} ({flag.note})"
