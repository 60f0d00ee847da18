"""Design-space studies: many design points, on this machine or a Dask cluster, resumable."""
