"""The list of packages: searchers/, spaces/ and benchmarks/ stand at the top but install inside automl_cf."""

from setuptools import find_packages, setup

OURS = ["automl_cf", "automl_cf.*"]
MAPPED = ["searchers", "spaces", "benchmarks"]

setup(
    packages=[
        *find_packages(include=OURS),
        *(f"automl_cf.{name}" for name in find_packages(include=[*MAPPED, *(f"{m}.*" for m in MAPPED)])),
    ],
    package_dir={f"automl_cf.{folder}": folder for folder in MAPPED},
)
