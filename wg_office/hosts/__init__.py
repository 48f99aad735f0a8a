"""What reaches a host: its files and rules, the one description that carries them, and what a change of it does. Pure."""
