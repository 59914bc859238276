"""Cryptography: bytes in, bytes out. Nonces, salts and times are arguments; nothing here reads a clock or a file.

Layer: beside ``formats``, which it never imports.
"""
