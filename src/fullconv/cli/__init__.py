"""Thin doors: each verb is one ordinary function."""
