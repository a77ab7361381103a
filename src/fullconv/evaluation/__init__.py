"""Counts -> scores."""
