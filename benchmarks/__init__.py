"""What livematte claims about speed and quality, measured: ``python -m benchmarks.<name>``."""
