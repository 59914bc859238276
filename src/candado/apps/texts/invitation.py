"""Texts of the page on which a user sets a password.

Layer: ``apps``; pure.
"""

from candado.apps.texts.speech import Text

__all__ = ["InvitationText"]


class InvitationText(Text):
    """What a person reads who came by a link."""

    TITLE = "Choose your password", "Elija su contraseña", "Wählen Sie Ihr Passwort"
    INTRO = (
        "Your user name is {user}. Choose the password with which you sign in, at least ten characters; four random words are good. The link works until {end}, and once.",
        "Su nombre de usuario es {user}. Elija la contraseña con la que iniciará sesión, de al menos diez caracteres; cuatro palabras al azar son una buena opción. El enlace funciona hasta el {end}, y una sola vez.",
        "Ihr Benutzername ist {user}. Wählen Sie das Passwort, mit dem Sie sich anmelden, mindestens zehn Zeichen; vier zufällige Wörter sind gut. Der Link gilt bis {end}, und einmal.",
    )
    NEW = "New password", "Contraseña nueva", "Neues Passwort"
    AGAIN = "The same once more", "La misma otra vez", "Dasselbe noch einmal"
    SET = "Set the password", "Establecer la contraseña", "Passwort festlegen"
    DIFFERENT = (
        "The two passwords are not the same.",
        "Las dos contraseñas no coinciden.",
        "Die beiden Passwörter sind nicht gleich.",
    )
    DONE_TITLE = "Welcome", "Le damos la bienvenida", "Willkommen"
    DONE = (
        "Your password is set. Connect an app with this address and your user name, {user}. Browsers that were signed in before are out; devices stay signed in.",
        "Su contraseña está establecida. Conecte una aplicación con esta dirección y su nombre de usuario, {user}. Los navegadores que tenían la sesión iniciada la han perdido; los dispositivos la conservan.",
        "Ihr Passwort ist festgelegt. Verbinden Sie eine App mit dieser Adresse und Ihrem Benutzernamen, {user}. Browser, die vorher angemeldet waren, sind abgemeldet; Geräte bleiben angemeldet.",
    )
    OVER = "This link does not work", "Este enlace no funciona", "Dieser Link gilt nicht"
    ASK = (
        "Ask an administrator for a new one.",
        "Pida uno nuevo a un administrador.",
        "Bitten Sie die Verwaltung um einen neuen.",
    )
