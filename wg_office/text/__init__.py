"""Text as such: what may go to a terminal, and columns. Room: text, the ground floor; it knows no network."""
