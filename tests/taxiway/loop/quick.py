"""A retraining of shell containers: it judges a model in no time, and pushes a version with the parameters in it."""

from kfp import dsl

JUDGE = r"""
blessed=$(printf %s "$0" | sed "s/fail/1/")
code=$(printf %s "$1" | sed 's/"/\"/g')
printf '{"artifacts": {"blessing": {"artifacts": [{"name": "blessing", "uri": "%s", "type": {"schemaTitle":
"system.Artifact"}, "metadata": {"tfx_type": "ModelBlessing", "blessed": %s, "verdict": "%s"}}]}}}' \
  "$2" "$blessed" "$code" > "$3"
sleep "$4"
echo x > "$2"
"""

PUSH = """
case "$1" in
fail) echo "no space left on device" >&2; exit 1;;
0) metadata='"pushed": 0';;
*)
  # As the pusher does: what is there is not pushed again.
  version=$(grep -lsx "$2 $3" "$0"/*/saved_model.pb | sed 's|/saved_model.pb||; s|.*/||' | head -n 1)
  if [ -z "$version" ]; then
    version=$(($(ls "$0" 2>/dev/null | sort -n | tail -n 1) + 1))
    rm -rf "$0/.$version"
    mkdir -p "$0/.$version"
    echo "$2 $3" > "$0/.$version/saved_model.pb"
    mv "$0/.$version" "$0/$version"
  fi
  metadata='"pushed": 1, "pushed_destination": "'$0'", "pushed_version": "'$version'", "digest": "sha256:'$version'"';;
esac
printf '{"artifacts": {"pushed": {"artifacts": [{"name": "pushed", "uri": "%s", "type": {"schemaTitle":
"system.Artifact"}, "metadata": {"tfx_type": "PushedModel", %s}}]}}}' "$4" "$metadata" > "$5"
echo x > "$4"
"""
OUTPUT = "{{$.outputs.output_file}}"


@dsl.container_component
def judge(blessed: str, reason: str, window_start: str, pause: str, blessing: dsl.Output[dsl.Artifact]):
    return dsl.ContainerSpec(
        image="any:1", command=["sh", "-ec", JUDGE], args=[blessed, reason, blessing.path, OUTPUT, pause, window_start]
    )


@dsl.container_component
def push(
    destination: str,
    blessed: str,
    window_start: str,
    window_end: str,
    blessing: dsl.Input[dsl.Artifact],
    pushed: dsl.Output[dsl.Artifact],
):
    return dsl.ContainerSpec(
        image="any:1",
        command=["sh", "-ec", PUSH],
        args=[destination, blessed, window_start, window_end, pushed.path, OUTPUT, blessing.path],
    )


@dsl.pipeline(name="quick")
def quick(
    destination: str,
    window_start: str,
    window_end: str,
    blessed: str = "1",
    reason: str = "better by 0.02",
    pause: str = "0",
):
    """Retrains in no time."""
    judged = judge(blessed=blessed, reason=reason, window_start=window_start, pause=pause)
    push(
        destination=destination,
        blessed=blessed,
        window_start=window_start,
        window_end=window_end,
        blessing=judged.outputs["blessing"],
    )
