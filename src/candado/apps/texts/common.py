"""Texts of all pages: frame, sign-in, refusals.

Layer: ``apps``; pure.
"""

from typing import Final

from candado.apps.texts.speech import Text

__all__ = ["REFUSALS", "Common", "Refusal"]


class Common(Text):
    """The frame of a page, and what several pages say."""

    LANGUAGES = "Languages", "Idiomas", "Sprachen"
    SKIP = "To the content", "Ir al contenido", "Zum Inhalt"
    FRONT = (
        "This is a server for end-to-end encrypted folders. Connect an app to this address.",
        "Este es un servidor de carpetas con cifrado de extremo a extremo. Conecte una aplicación a esta dirección.",
        "Dies ist ein Server für Ende-zu-Ende-verschlüsselte Ordner. Verbinden Sie eine App mit dieser Adresse.",
    )
    USER_NAME = "User name", "Nombre de usuario", "Benutzername"
    PASSWORD = "Password", "Contraseña", "Passwort"
    SIGN_IN = "Sign in", "Iniciar sesión", "Anmelden"
    SIGN_OUT = "Sign out here", "Cerrar la sesión aquí", "Hier abmelden"
    SIGNED_IN_AS = "Signed in as {user}.", "Sesión iniciada como {user}.", "Angemeldet als {user}."
    WRONG = (
        "The name or the password is wrong.",
        "El nombre o la contraseña no son correctos.",
        "Der Name oder das Passwort ist falsch.",
    )
    LATE = (
        "You were signed out. Nothing was changed.",
        "La sesión había terminado. No se ha cambiado nada.",
        "Ihre Sitzung war beendet. Es wurde nichts geändert.",
    )
    NO_WORDS = (
        "No page of this server ever asks for the twelve words of your encryption.",
        "Ninguna página de este servidor le pedirá jamás las doce palabras de su cifrado.",
        "Keine Seite dieses Servers fragt je nach den zwölf Wörtern Ihrer Verschlüsselung.",
    )
    FAILED = "This did not work", "No ha sido posible", "Das ging nicht"
    BACK = "Back, change nothing", "Volver sin cambiar nada", "Zurück, nichts ändern"
    SENT_AGAIN = (
        "Open the page again and send the form from there.",
        "Abra de nuevo la página y envíe el formulario desde allí.",
        "Öffnen Sie die Seite noch einmal und senden Sie das Formular von dort.",
    )


class Refusal(Text):
    """What went wrong, for who does not read the English sentence that follows."""

    AUTH_REQUIRED = (
        "Name or password were not accepted.",
        "El nombre o la contraseña no se han aceptado.",
        "Name oder Passwort wurden nicht angenommen.",
    )
    FORBIDDEN = "This is not allowed.", "No está permitido.", "Das ist nicht erlaubt."
    NOT_FOUND = (
        "There is nothing (any more) at this address.",
        "No hay nada (o ya no hay nada) en esta dirección.",
        "Unter dieser Adresse gibt es nichts (mehr).",
    )
    ALREADY_EXISTS = "It exists already.", "Ya existe.", "Das gibt es schon."
    BAD_REQUEST = (
        "What was sent cannot be used.",
        "Lo que se ha enviado no se puede usar.",
        "Was gesendet wurde, ist nicht verwendbar.",
    )
    LIMIT_EXCEEDED = "It is too large or too much.", "Es demasiado grande.", "Es ist zu groß oder zu viel."
    RATE_LIMITED = (
        "Too many attempts. Wait a few minutes.",
        "Demasiados intentos. Espere unos minutos.",
        "Zu viele Versuche. Warten Sie einige Minuten.",
    )
    LOCKED = (
        "Somebody is writing into this folder right now.",
        "Alguien está escribiendo en esta carpeta en este momento.",
        "Gerade schreibt jemand in diesen Ordner.",
    )
    QUOTA_EXCEEDED = (
        "There is no space left.",
        "No queda espacio.",
        "Es ist kein Speicherplatz mehr frei.",
    )
    SIGNER_UNAVAILABLE = (
        "The authority's key cannot be reached right now.",
        "La clave de la autoridad no está disponible en este momento.",
        "Der Schlüssel der Zertifizierungsstelle ist gerade nicht erreichbar.",
    )
    OTHER = (
        "The server could not do this.",
        "El servidor no ha podido hacerlo.",
        "Der Server konnte das nicht ausführen.",
    )


REFUSALS: Final = {text.name: text for text in Refusal}
"""By the code of the error."""
