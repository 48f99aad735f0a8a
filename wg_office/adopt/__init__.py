"""A network that was made by hand, as its hosts have it, turned into an environment file that keeps every key. Pure.

said.py cuts what a host says into parts, units.py reads its tunnels, filters.py its rules, network.py sees whether the hosts fit
together, and written.py has the text.

Room: adopt. Nothing of a host's words is believed that does not fit a grammar, and nothing shown that could lead a terminal.
"""
