"""The network that an environment means: who may reach what, addresses, peers and routes, and what a person must do by hand. Pure."""
