"""The command line: what a person types, and what is shown to them. Nothing imports this room."""
