"""What the package holds (pyproject.toml says the rest): rooms that lie beside `wg_office/` in the clone lie in it, or go by its name."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["wg_office*"]), "wg_office.hostside", "wg_office_pulumi"],
    package_dir={"wg_office.hostside": "hostside", "wg_office_pulumi": "components"},
)
