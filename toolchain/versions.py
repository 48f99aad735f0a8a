"""The versions that the tests ran with, the ones in requirements.txt."""

PULUMI = "3.259.0"
PLUGINS = {"command": "1.2.1", "random": "4.21.4"}
