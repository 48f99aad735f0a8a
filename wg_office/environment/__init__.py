"""What can be written in an environment file: its scalars, its records, the model they make, and what is said of a wrong one."""
