"""The cluster resources of the taxi pipeline's stages.

taxiway compile chicago_taxi --profile gpu --profile cluster -o taxi.yaml
"""

from taxiway.dsl import Resources, Secret, Toleration, Volume, image

# Enough for the 15,002 trips of the example, and small enough for kind on a laptop.
STAGES = {
    "example-gen": Resources(cpu="500m", memory="1Gi", memory_limit="2Gi"),
    "statistics-gen": Resources(cpu="500m", memory="2Gi", memory_limit="4Gi"),
    "schema-gen": Resources(cpu="250m", memory="1Gi", memory_limit="2Gi"),
    "example-validator": Resources(cpu="250m", memory="1Gi", memory_limit="2Gi"),
    "transform": Resources(cpu="1", memory="2Gi", memory_limit="4Gi"),
    "trainer": Resources(cpu="1", memory="2Gi", memory_limit="4Gi"),
    "baseline": Resources(cpu="250m", memory="512Mi", memory_limit="1Gi"),
    "evaluator": Resources(cpu="500m", memory="2Gi", memory_limit="4Gi"),
    "infra-validator": Resources(cpu="500m", memory="2Gi", memory_limit="4Gi"),
    "pusher": Resources(cpu="250m", memory="512Mi", memory_limit="1Gi"),
}

_MODELS = Resources(volumes=(Volume("model-store", "/models"),))
_BUCKET = Resources(
    secrets=(Secret("model-store", {name: name for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}),)
)

PROFILES = {
    # The trainer runs on nodes labeled by NVIDIA's device plugin and feature discovery.
    "gpu": {
        "trainer": Resources(
            cpu="4",
            memory="8Gi",
            memory_limit="16Gi",
            gpus=1,
            image=image("train-gpu"),
            node_selector={"nvidia.com/gpu.present": "true"},
            tolerations=(Toleration("nvidia.com/gpu"),),
        )
    },
    # The volume claims in manifests/: --param data=/data/chicago_taxi --param destination=/models/chicago_taxi
    "cluster": {
        "example-gen": Resources(volumes=(Volume("taxiway-data", "/data"),)),
        "baseline": _MODELS,
        "pusher": _MODELS,
    },
    # The secret for manifests/overlays/s3: --param data=s3://... --param destination=s3://...
    "s3": {"example-gen": _BUCKET, "baseline": _BUCKET, "pusher": _BUCKET},
}
