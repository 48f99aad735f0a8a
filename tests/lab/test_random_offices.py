"""Random networks: what differs between the access table and packets is a fault of the program.

In namespaces, with the rules of every host. `make test-random SEEDS=20` tries more of them.
"""

import os

import pytest
import yaml
from ground_net import GroundNet
from random_offices import office

FEW = (0, 5)
"""Of the first offices with these numbers packets once said something else."""
SEEDS = range(int(os.environ["SEEDS"])) if "SEEDS" in os.environ else FEW


@pytest.mark.parametrize("number", SEEDS)
def test_packets_say_what_the_access_table_says(number: int) -> None:
    case = office(number)
    with GroundNet(case) as net:
        told = net.verdict()
    assert list(told.sentences()) == [], yaml.safe_dump(case.data, sort_keys=False)
    assert told.holds
