"""Code that several kernels share: dispatch, compilation, resampling weights, memory views."""
