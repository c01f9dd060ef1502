"""The cluster resources of the stages: those of the first training, and of the stages that are new."""

from pipelines.chicago_taxi.resources import PROFILES as TAXI_PROFILES
from pipelines.chicago_taxi.resources import STAGES as TAXI_STAGES
from taxiway.dsl import Resources, Volume

_USED = set(TAXI_STAGES) - {"example-validator"}

STAGES = {name: each for name, each in TAXI_STAGES.items() if name in _USED} | {
    "inference-example-gen": Resources(cpu="500m", memory="1Gi", memory_limit="2Gi"),
    "judge": Resources(cpu="500m", memory="2Gi", memory_limit="4Gi"),
}

_TABLES = Resources(volumes=(Volume("model-store", "/models"),))

PROFILES = {
    **TAXI_PROFILES,
    # The tables of the served models: --param tables=/models/.tables
    "cluster": {**TAXI_PROFILES["cluster"], "inference-example-gen": _TABLES},
    "s3": {**TAXI_PROFILES["s3"], "inference-example-gen": TAXI_PROFILES["s3"]["example-gen"]},
}
