"""Texts of the pages of links, and of the script that seals files.

Layer: ``apps``; pure.
"""

from candado.apps.texts.speech import Text

__all__ = ["LinkText", "ScriptText"]


class LinkText(Text):
    """What the visitor of a link reads."""

    NAME = "Name", "Nombre", "Name"
    SIZE = "Size", "Tamaño", "Größe"
    CHANGED = "Changed", "Modificado", "Geändert"
    OPEN = "Open", "Abrir", "Öffnen"
    HAS_PASSWORD = "This link has a password", "Este enlace tiene contraseña", "Dieser Link hat ein Passwort"
    WRONG_PASSWORD = "The password is wrong.", "La contraseña no es correcta.", "Das Passwort ist falsch."
    STORED_ONE = "{count} file was stored.", "Se ha guardado {count} archivo.", "{count} Datei wurde gespeichert."
    STORED_MANY = (
        "{count} files were stored.",
        "Se han guardado {count} archivos.",
        "{count} Dateien wurden gespeichert.",
    )
    EMPTY = "There is nothing in this folder.", "Esta carpeta está vacía.", "Dieser Ordner ist leer."
    SHARED_BY = "Shared by {user}.", "Compartido por {user}.", "Geteilt von {user}."
    NAMES_ONLY = (
        "Only names are shown; the files cannot be downloaded here.",
        "Solo se muestran los nombres; los archivos no se pueden descargar aquí.",
        "Es werden nur Namen gezeigt; die Dateien können hier nicht heruntergeladen werden.",
    )
    FOLDERS = "Folders", "Carpetas", "Ordner"
    UPLOAD = "Upload", "Subir", "Hochladen"
    FILES = (
        "Files; nothing that is there is replaced",
        "Archivos; no se sustituye nada de lo que ya hay",
        "Dateien; was schon da ist, wird nicht ersetzt",
    )
    AGAIN = (
        "Open the link again and send the form from there.",
        "Abra de nuevo el enlace y envíe el formulario desde allí.",
        "Öffnen Sie den Link noch einmal und senden Sie das Formular von dort.",
    )
    SEALED = (
        "This folder is end-to-end encrypted; this server cannot read what is in it. Only who has the twelve words of this link can open it, on their own device:",
        "Esta carpeta tiene cifrado de extremo a extremo; este servidor no puede leer lo que contiene. Solo quien tiene las doce palabras de este enlace puede abrirla, en su propio dispositivo:",
        "Dieser Ordner ist Ende-zu-Ende-verschlüsselt; dieser Server kann seinen Inhalt nicht lesen. Nur wer die zwölf Wörter dieses Links hat, kann ihn öffnen, auf dem eigenen Gerät:",
    )
    WHOLE_ADDRESS = (
        "Use the whole address as you got it, with all that stands behind the #.",
        "Use la dirección completa tal como la recibió, con todo lo que va detrás de #.",
        "Nehmen Sie die ganze Adresse, wie Sie sie erhalten haben, mit allem, was hinter dem # steht.",
    )
    DROP_INTRO = (
        "This folder is end-to-end encrypted. Your files are sealed here, in your browser, for {people}; this server cannot open them.",
        "Esta carpeta tiene cifrado de extremo a extremo. Sus archivos se cifran aquí, en su navegador, para {people}; este servidor no puede abrirlos.",
        "Dieser Ordner ist Ende-zu-Ende-verschlüsselt. Ihre Dateien werden hier, in Ihrem Browser, für {people} verschlüsselt; dieser Server kann sie nicht öffnen.",
    )
    DROP_FILES = (
        "Files, up to 500 MB each",
        "Archivos, de hasta 500 MB cada uno",
        "Dateien, bis zu je 500 MB",
    )
    DROP_SEND = "Seal and send", "Cifrar y enviar", "Verschlüsseln und senden"
    DROP_NO_SCRIPT = (
        "Sealing needs a script. Without one, use the command.",
        "Para cifrar hace falta JavaScript. Sin él, use la orden.",
        "Zum Verschlüsseln ist JavaScript nötig. Ohne es nehmen Sie den Befehl.",
    )
    DROP_COMMAND = (
        "For large files, or to trust nothing that this server sends, use the whole address, with all that stands behind the #, in:",
        "Para archivos grandes, o para no confiar en nada de lo que envía este servidor, use la dirección completa, con todo lo que va detrás de #, en:",
        "Für große Dateien, oder um nichts zu vertrauen, was dieser Server sendet, nehmen Sie die ganze Adresse, mit allem, was hinter dem # steht, in:",
    )


class ScriptText(Text):
    """What the script that seals files says; a name in angle brackets is filled in by it."""

    STATUS = "the server answered <status>", "el servidor respondió <status>", "der Server antwortete <status>"
    TOO_LARGE = (
        "larger than 500 MB; use the command below",
        "más de 500 MB; use la orden de abajo",
        "größer als 500 MB; nehmen Sie den Befehl unten",
    )
    NOBODY = (
        "there is nobody to seal for",
        "no hay nadie para quien cifrar",
        "es gibt niemanden, für den verschlüsselt werden könnte",
    )
    NO_MEMBER = (
        "the key that this address names is not that of a member of the folder",
        "la clave que nombra esta dirección no es la de un miembro de la carpeta",
        "der Schlüssel, den diese Adresse nennt, gehört keinem Mitglied des Ordners",
    )
    NO_HTTPS = (
        "this browser seals files on https addresses only",
        "este navegador solo cifra archivos en direcciones https",
        "dieser Browser verschlüsselt Dateien nur auf https-Adressen",
    )
    SENDING = "Sealing and sending <name>", "Cifrando y enviando <name>", "<name> wird verschlüsselt und gesendet"
    DONE = (
        "<done> of <all> files were sealed and stored.",
        "Se han cifrado y guardado <done> de <all> archivos.",
        "<done> von <all> Dateien wurden verschlüsselt und gespeichert.",
    )
    FAILED = (
        "This did not work: <reason>. Files stored before: <done>.",
        "No ha sido posible: <reason>. Archivos guardados antes: <done>.",
        "Das ging nicht: <reason>. Zuvor gespeicherte Dateien: <done>.",
    )
