"""The kit of every page that we write."""
