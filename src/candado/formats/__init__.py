"""Formats: text to frozen values and back. A parser raises ``FormatError`` and nothing else, on any bytes.

Layer: beside ``crypto``, which it never imports.
"""
