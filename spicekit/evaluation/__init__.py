"""Whole networks through the engines; energy and time; sign-off."""
