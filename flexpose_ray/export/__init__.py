"""Data sets in the formats of other programs, with a card."""
