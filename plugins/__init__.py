"""One folder a program that livematte sends to: ``livematte.plugins`` in the wheel."""
