"""Taxiway's packages, the ranges of what they need, and the extras. `requirements.lock` pins all of it with hashes."""

import re
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
version = re.search(r'__version__ = "(.+)"', (here / "components/__init__.py").read_text()).group(1)

setup(
    name="taxiway",
    version=version,
    description="From raw data to a served TensorFlow model: TFX's stages as Kubeflow Pipelines v2 components",
    long_description=(here / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11,<3.14",
    packages=find_packages(include=["components*", "pipelines*", "taxiway*"]),
    package_data={
        "taxiway": ["py.typed", "ui/static/*"],
        "components": ["py.typed", "*/component.yaml", "reports/templates/*"],
        "pipelines": ["py.typed", "*/pipeline.yaml"],
    },
    install_requires=[
        "aiohttp>=3.10,<4",
        "apache-beam>=2.70,<3",
        "docker>=7,<8",
        "duckdb>=2,<3",
        "dvc[s3]>=3.67,<4",
        "gcsfs",
        "google-crc32c>=1.5,<2",
        "grpcio-health-checking>=1.70",
        "grpcio-reflection>=1.70",
        "kfp>=2.17,<2.18",
        "kfp-kubernetes>=2.17,<2.18",
        "kubernetes>=26",
        "markupsafe>=2",
        "ml-dtypes>=0.5",
        "ml-metadata>=1.21,<1.22",
        "model-signing>=1,<2",
        "orjson>=3.10",
        "prometheus-client>=0.20",
        "pyarrow>=18",
        "pyopenssl>=24",
        "pyyaml>=6",
        "requests>=2.32",
        "rich>=14",
        "scipy>=1.14",
        "tensorboard>=2.20,<3",
        # Pinned exactly: components/upstream uses private names of these, and tests compare the results with Beam's.
        "deltalake==1.6.6",
        "tensorflow==2.21.0",
        "tensorflow-data-validation==1.21.0",
        "tensorflow-model-analysis==0.52.0",
        "tensorflow-transform==1.21.0",
        "tf-keras==2.21.0",
        "tensorflow-serving-api>=2.19,<3",
        "tfx>=1.21,<1.22",
        "typer>=0.16,<1",
        "urllib3>=2",
    ],
    extras_require={
        "dev": [
            "axe-playwright-python>=0.1.4",
            "hypothesis>=6",
            "import-linter>=2",
            "kubernetes-validate>=1.36",
            "moto[s3,server]>=5",
            "mypy>=1.15",
            "playwright>=1.55",
            "pytest>=8",
            "pytest-timeout>=2",
            "pytest-xdist>=3",
            "ruff>=0.12",
            "schemathesis>=4",
            "setuptools>=77",
            "types-PyYAML",
            "uv>=0.9",
        ],
    },
    entry_points={"console_scripts": ["taxiway=taxiway.cli:main"]},
)
