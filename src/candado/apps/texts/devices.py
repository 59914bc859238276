"""Texts of the page of devices, and of the sign-in of a device.

Layer: ``apps``; pure.
"""

from candado.apps.texts.speech import Text

__all__ = ["DeviceText"]


class DeviceText(Text):
    """What a person reads about the own devices."""

    TITLE = "Your devices", "Sus dispositivos", "Ihre Geräte"
    INTRO = (
        "Sign in to see which devices can use your account, and to sign them out.",
        "Inicie sesión para ver qué dispositivos pueden usar su cuenta y para cerrar la sesión en ellos.",
        "Melden Sie sich an, um zu sehen, welche Geräte Ihr Konto nutzen können, und um sie abzumelden.",
    )
    REVOKED = (
        "The device was signed out.",
        "Se ha cerrado la sesión en el dispositivo.",
        "Das Gerät wurde abgemeldet.",
    )
    ALL_REVOKED = (
        "All devices and all other browsers were signed out.",
        "Se ha cerrado la sesión en todos los dispositivos y en todos los demás navegadores.",
        "Alle Geräte und alle anderen Browser wurden abgemeldet.",
    )
    WIPE_ASKED = (
        "The device was signed out. It removes what it keeps of the account when it next reaches this server.",
        "Se ha cerrado la sesión en el dispositivo. Cuando vuelva a conectarse a este servidor, eliminará lo que guarda de la cuenta.",
        "Das Gerät wurde abgemeldet. Es entfernt alles, was es vom Konto gespeichert hat, sobald es diesen Server wieder erreicht.",
    )
    NEW_SECRET = (
        "The new app password, shown only now. Copy it into the app:",
        "La nueva contraseña de aplicación, que solo se muestra ahora. Cópiela en la aplicación:",
        "Das neue App-Passwort wird nur jetzt angezeigt. Kopieren Sie es in die App:",
    )
    NONE = (
        "No device can use this account.",
        "Ningún dispositivo puede usar esta cuenta.",
        "Kein Gerät kann dieses Konto nutzen.",
    )
    ALL = "All of them", "Todos", "Alle zusammen"
    SIGN_OUT_ALL = (
        "Sign out all devices and other browsers",
        "Cerrar la sesión en todos los dispositivos y en los demás navegadores",
        "Alle Geräte und anderen Browser abmelden",
    )
    NEW = "New app password", "Nueva contraseña de aplicación", "Neues App-Passwort"
    LABEL = (
        'What it is for, such as "backup of the laptop"',
        "Para qué sirve, por ejemplo «copia de seguridad del portátil»",
        "Wofür es ist, zum Beispiel „Sicherung des Laptops“",
    )
    MAKE = "Make an app password", "Crear una contraseña de aplicación", "App-Passwort erstellen"
    THIS_BROWSER = "This browser", "Este navegador", "Dieser Browser"
    SIGN_OUT = "Sign out", "Cerrar la sesión", "Abmelden"
    SIGN_OUT_ONE = "Sign out {device}", "Cerrar la sesión en {device}", "{device} abmelden"
    WIPE = "Wipe", "Borrar datos", "Daten löschen"
    WIPE_ONE = "Wipe {device}", "Borrar los datos de {device}", "Daten auf {device} löschen"
    WIPE_TITLE = "Wipe this device?", "¿Borrar los datos de este dispositivo?", "Daten auf diesem Gerät löschen?"
    WIPE_EXPLAINED = (
        "{device}, in use since {since}, is signed out at once. When it next reaches this server, the app on it removes the account and all it keeps of it, also files that were not uploaded yet. This is for a device that is lost: it works only with an app that follows it, and only while the device is online.",
        "En {device}, en uso desde el {since}, se cierra la sesión de inmediato. Cuando vuelva a conectarse a este servidor, su aplicación eliminará la cuenta y todo lo que guarda de ella, también los archivos que todavía no se hubieran subido. Es para un dispositivo perdido: solo funciona con una aplicación que lo admita y mientras el dispositivo tenga conexión.",
        "{device}, in Gebrauch seit {since}, wird sofort abgemeldet. Sobald es diesen Server wieder erreicht, entfernt die App darauf das Konto und alles, was sie davon gespeichert hat, auch noch nicht hochgeladene Dateien. Das ist für ein verlorenes Gerät gedacht: Es wirkt nur bei einer App, die sich daran hält, und nur, wenn das Gerät online ist.",
    )
    WIPE_NOW = "Sign out and wipe", "Cerrar la sesión y borrar los datos", "Abmelden und Daten löschen"
    WIPE_NOW_ONE = (
        "Sign out and wipe {device}",
        "Cerrar la sesión y borrar los datos de {device}",
        "{device} abmelden und Daten löschen",
    )
    NEVER_USED = (
        "Since {since}, never used.",
        "Desde el {since}, nunca usado.",
        "Seit {since}, nie benutzt.",
    )
    USED = (
        "Since {since}, last used {used}.",
        "Desde el {since}, usado por última vez el {used}.",
        "Seit {since}, zuletzt benutzt {used}.",
    )
    WIPING = (
        "Signed out, wipes itself when it next reaches this server.",
        "Sesión cerrada; borrará sus datos cuando vuelva a conectarse a este servidor.",
        "Abgemeldet, löscht seine Daten, sobald es diesen Server wieder erreicht.",
    )
    LET_IN_TITLE = "Let a device in", "Autorizar un dispositivo", "Ein Gerät zulassen"
    LET_IN_ASKED = (
        "{device} asks to use your account. Go on only if you have just started this yourself on a device of yours.",
        "{device} solicita usar su cuenta. Continúe solo si usted mismo acaba de iniciarlo en un dispositivo suyo.",
        "{device} möchte Ihr Konto nutzen. Fahren Sie nur fort, wenn Sie dies gerade selbst auf einem Ihrer Geräte begonnen haben.",
    )
    LET_IN = "Let the device in", "Autorizar el dispositivo", "Gerät zulassen"
    LET_IN_UNKNOWN = "Sign-in not found", "Solicitud no encontrada", "Anmeldung nicht gefunden"
    LET_IN_AGAIN = (
        "Open the link of the app again.",
        "Abra de nuevo el enlace de la aplicación.",
        "Öffnen Sie den Link der App noch einmal.",
    )
    LET_IN_FAILED = "Not signed in", "Sin iniciar sesión", "Nicht angemeldet"
    LET_IN_DONE = "The device is in", "Dispositivo autorizado", "Das Gerät ist zugelassen"
    LET_IN_CLOSE = (
        "{device} can now use the account. You can close this page.",
        "{device} ya puede usar la cuenta. Puede cerrar esta página.",
        "{device} kann das Konto jetzt nutzen. Sie können diese Seite schließen.",
    )
