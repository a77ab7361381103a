"""Label maps -> polygons that share their borders, areas, and the files that hold them."""
