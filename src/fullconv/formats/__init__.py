"""Other people's layouts: recognised, opened, described, written."""
