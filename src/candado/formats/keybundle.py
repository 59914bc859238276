"""The stored private key: three base64 fields, and the PEM armour used with them.

Layer: ``formats``. The grammar is shared with ``crypto`` through ``candado.encoding``; these are its names for servers
and clients. Source: protocol document, section 3.
"""

from candado.encoding import WrappedKey, join_wrapped, pem_decode, pem_encode, split_wrapped

__all__ = ["WrappedKey", "join_wrapped", "pem_decode", "pem_encode", "split_wrapped"]
