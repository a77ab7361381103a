"""Data sets in containers: tar shards, parquet tables, MATLAB and HDF5 files."""
