"""What reaches a person: a developer's files and hand-out, and what is pasted at a gateway that nobody logs in to."""
