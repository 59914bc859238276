"""What the pages of the server say, in English, Spanish and German.

Layer: ``apps``; pure. A text is a member of an enumeration and has its three languages side by side, so that none can
be missing; ``tests/unit/apps/test_texts.py`` looks for the rest.
"""

from candado.apps.texts.speech import LANGUAGES, Language, Speech, Text, choose_language, language_of

__all__ = ["LANGUAGES", "Language", "Speech", "Text", "choose_language", "language_of"]
