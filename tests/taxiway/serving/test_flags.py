"""All of TF Serving's flags are in the table and in the docs, and the command names their counterparts."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main

from components.contract.errors import UserError
from taxiway import cli
from taxiway.serving import flags

PAGE = Path(__file__).parents[3] / flags.PAGE

THEIRS = re.findall(
    r"\w+",
    """
    port grpc_socket_path rest_api_port rest_api_num_threads rest_api_timeout_in_ms
    rest_api_enable_cors_support enable_batching allow_version_labels_for_unavailable_models
    batching_parameters_file enable_per_model_batching_parameters model_config_file
    model_config_file_poll_wait_seconds model_name model_base_path num_load_threads num_unload_threads
    max_num_load_retries load_retry_interval_micros file_system_poll_wait_seconds flush_filesystem_caches
    tensorflow_session_parallelism tensorflow_session_config_file tensorflow_intra_op_parallelism
    tensorflow_inter_op_parallelism use_alts_credentials ssl_config_file platform_config_file
    per_process_gpu_memory_fraction saved_model_tags grpc_channel_arguments grpc_max_threads
    enable_model_warmup num_request_iterations_for_warmup version monitoring_config_file
    remove_unused_fields_from_bundle_metagraph prefer_tflite_model num_tflite_pools
    num_tflite_interpreters_per_pool enable_signature_method_name_check xla_cpu_compilation_enabled
    xla_gpu_compilation_enabled enable_profiler thread_pool_factory_config_file mixed_precision
    skip_initialize_tpu enable_grpc_healthcheck_service enable_serialization_as_tensor_content
    """,
)
"""The flags of TF Serving's main.cc of July 2026, in its order."""

WITHOUT_COUNTERPART = {
    "--host", "--verify", "--no-verify", "--public-key", "--tls-key", "--tls-client-ca", "--max-request-mb",
    "--max-waiting", "--address-file", "--reload-root", "--custom-ops",
    "--inference-tables", "--inference-share", "--privacy",
}  # fmt: skip
"""Options without a TF Serving counterpart; the page lists them below the table."""


def own_options() -> set[str]:
    group: Any = typer.main.get_command(cli.app)
    return {
        option if option.startswith("-") else parameter.metavar
        for parameter in group.commands["serve"].params
        for option in (*parameter.opts, *parameter.secondary_opts)
    }


def test_every_flag_is_in_the_table_once() -> None:
    assert [flag.name for flag in flags.FLAGS] == THEIRS


def test_counterparts_are_options_of_the_command_and_all_options_are_listed() -> None:
    ours = {flag.ours for flag in flags.FLAGS} - {""}
    assert ours | WITHOUT_COUNTERPART == own_options()
    assert not ours & WITHOUT_COUNTERPART


def test_a_flag_without_a_counterpart_has_a_reason() -> None:
    for flag in flags.FLAGS:
        assert flag.ours or flag.note.startswith(("no effect: ", "not supported: ")), flag.name


def test_the_page_has_the_table_and_the_other_options() -> None:
    text = PAGE.read_text()
    rows = re.findall(r"^\| `--(\w+)` \| (.*?) \| ?(.*?) ?\|$", text, re.MULTILINE)
    expected = [(flag.name, f"`{flag.ours}`" if flag.ours else "none", flag.note) for flag in flags.FLAGS]
    assert rows == expected, "update the rows from taxiway/serving/flags.py"
    below = text.partition("## Options without a counterpart")[2]
    assert set(re.findall(r"`(--[a-z-]+)", below)) == WITHOUT_COUNTERPART


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model_base_path=/models/m"], "use FOLDER instead of --model_base_path (a positional argument)"),
        (["m", "--rest_api_port", "8501"], "use --rest-port instead of --rest_api_port (0 picks a free port"),
        (["m", "--enable_batching"], "use --enable-batching instead of --enable_batching (full list: docs/"),
        (
            ["--enable_batching=true", "--grpc_max_threads=4"],
            "use --enable-batching instead of --enable_batching; remove --grpc_max_threads (",
        ),
    ],
)
def test_tf_servings_flags_are_refused_with_their_counterparts(arguments: list[str], message: str) -> None:
    with pytest.raises(UserError) as refused:
        flags.refuse(arguments)
    assert message in str(refused.value)


def test_flags_with_the_same_name_are_accepted() -> None:
    flags.refuse(["m", "--port=8500", "--", "--model_name"])


def test_all_unknown_flags_are_refused_in_one_message() -> None:
    command = [sys.executable, "-m", "taxiway", "serve", "--port=8500", "--rest_api_port=8501", "--model_name=m"]
    result = subprocess.run([*command, "--model_base_path=/m"], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    first = "error: --rest_api_port and --model_name and --model_base_path: flags of TF Serving, not of this command"
    assert result.stderr.splitlines()[0] == first
