"""Operations on pictures and mattes, one package each: definition, CPU loops and CUDA source side by side.

A package exports functions that take NumPy arrays, or CuPy arrays and then work on the GPU. In each package
``reference.py`` is the definition in NumPy; ``cpu.py`` is the fast version, with OpenCV and the loops of
``loops.py``, which Numba compiles when they are first called; ``cuda.py`` launches the kernels of the ``.cu``
files. Functions in ``cuda.py`` never wait for the GPU and transfer only the arguments of launches.
``tests/unit/kernels/test_parity.py`` compares all of them with the definitions.
"""
