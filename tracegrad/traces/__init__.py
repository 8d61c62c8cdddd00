"""Interpreters: each runs a program on one kind of value."""
