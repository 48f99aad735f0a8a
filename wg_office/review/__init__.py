"""What a reviewer is shown: what a change means for people and hosts, and what must hold. Room: review; nothing is dialled."""
