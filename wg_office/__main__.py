"""`python -m wg_office`."""

from wg_office.commands.cli import app

app(prog_name="python -m wg_office")
