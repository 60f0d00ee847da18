"""Decks that people bring: read, vetted, checked, compared and run."""
