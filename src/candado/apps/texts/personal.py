"""Texts of the pages about the own account.

Layer: ``apps``; pure.
"""

from candado.apps.texts.speech import Text

__all__ = ["PersonalText"]


class PersonalText(Text):
    """What a person reads about the own account."""

    ACCOUNT = "Your account", "Su cuenta", "Ihr Konto"
    BACK = "Back", "Volver", "Zurück"
    SIGN_IN_INTRO = (
        "Sign in to see this page.",
        "Inicie sesión para ver esta página.",
        "Melden Sie sich an, um diese Seite zu sehen.",
    )
