"""A CuPy that needs no GPU: see :mod:`tests.cuda_shim.fakecupy`."""
