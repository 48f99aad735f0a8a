"""Where `pulumi` comes from: the one on PATH, the official release, or a build of the CLI with Python stand-ins."""
