"""wg-office without Pulumi: the environment model, its checks, the plan, the renderers and the command line."""
