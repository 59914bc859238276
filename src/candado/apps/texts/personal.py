"""Texts of the pages about the own account.

Layer: ``apps``; pure.
"""

from candado.apps.texts.speech import Text

__all__ = ["KeyText", "PersonalText", "ResetText", "SharingText"]


class PersonalText(Text):
    """The frame of these pages."""

    ACCOUNT = "Your account", "Su cuenta", "Ihr Konto"
    ADMINISTRATION = "Administration", "Administración", "Verwaltung"
    BACK = "Back", "Volver", "Zurück"
    RECOVERY = (
        "The organisation has a recovery key. Whoever holds enough of its sheets can read every encrypted folder that carries it. The organisation says: {said}",
        "La organización tiene una clave de recuperación. Quien reúna suficientes de sus hojas puede leer todas las carpetas cifradas que la llevan. La organización dice: {said}",
        "Die Organisation hat einen Wiederherstellungsschlüssel. Wer genügend seiner Blätter hat, kann jeden verschlüsselten Ordner lesen, der ihn trägt. Die Organisation schreibt: {said}",
    )
    SIGN_IN_INTRO = (
        "Sign in to see this page.",
        "Inicie sesión para ver esta página.",
        "Melden Sie sich an, um diese Seite zu sehen.",
    )
    OWN_PASSWORD = "Your password, once more", "Su contraseña, una vez más", "Ihr Passwort, noch einmal"
    WRONG_PASSWORD = (
        "The password is wrong. Nothing was changed.",
        "La contraseña no es correcta. No se ha cambiado nada.",
        "Das Passwort ist falsch. Es wurde nichts geändert.",
    )


class KeyText(Text):
    """The page of the own keys."""

    TITLE = "Your encryption", "Su cifrado", "Ihre Verschlüsselung"
    NONE = (
        "This account has no keys for end-to-end encryption yet. They are made on a device of yours, never here: run candado init, or set up end-to-end encryption in your app.",
        "Esta cuenta todavía no tiene claves para el cifrado de extremo a extremo. Se crean en un dispositivo suyo, nunca aquí: ejecute candado init o active el cifrado de extremo a extremo en su aplicación.",
        "Dieses Konto hat noch keine Schlüssel für die Ende-zu-Ende-Verschlüsselung. Sie entstehen auf einem Ihrer Geräte, nie hier: Führen Sie candado init aus oder richten Sie die Ende-zu-Ende-Verschlüsselung in Ihrer App ein.",
    )
    HALF = (
        "The set-up of your keys was interrupted: the server has only one half of them. Finish it on the device where you began, with candado init.",
        "La configuración de sus claves quedó interrumpida: el servidor solo tiene una mitad. Termínela en el dispositivo donde empezó, con candado init.",
        "Die Einrichtung Ihrer Schlüssel wurde unterbrochen: Der Server hat nur eine Hälfte davon. Schließen Sie sie auf dem Gerät ab, auf dem Sie begonnen haben, mit candado init.",
    )
    REVOKED = (
        "This key was revoked by an administrator. Nobody shares anything with it any more. Ask the administrators why before you make a new one.",
        "Un administrador ha revocado esta clave. Ya nadie comparte nada con ella. Pregunte a los administradores el motivo antes de crear otra.",
        "Dieser Schlüssel wurde von der Verwaltung gesperrt. Niemand teilt mehr etwas mit ihm. Fragen Sie die Verwaltung nach dem Grund, bevor Sie einen neuen erstellen.",
    )
    FINGERPRINT = "Fingerprint of your key", "Huella de su clave", "Fingerabdruck Ihres Schlüssels"
    COMPARE = (
        "People who share with you compare these words with you, on the telephone or face to face. You read them from your own device (candado fingerprint), because only that is sure of them; this page shows what the server has. If they differ, share nothing and tell an administrator.",
        "Quien comparte con usted compara estas palabras con usted, por teléfono o en persona. Léalas en su propio dispositivo (candado fingerprint), porque solo él las conoce con certeza; esta página muestra lo que tiene el servidor. Si no coinciden, no comparta nada y avise a un administrador.",
        "Wer mit Ihnen teilt, vergleicht diese Wörter mit Ihnen, am Telefon oder persönlich. Lesen Sie sie von Ihrem eigenen Gerät ab (candado fingerprint), denn nur dieses kennt sie sicher; diese Seite zeigt, was der Server hat. Weichen sie voneinander ab, teilen Sie nichts und benachrichtigen Sie die Verwaltung.",
    )
    QR_NAME = (
        "QR code of the fingerprint",
        "Código QR de la huella",
        "QR-Code des Fingerabdrucks",
    )
    CERTIFICATE = "Certificate", "Certificado", "Zertifikat"
    SERIAL = "Serial number", "Número de serie", "Seriennummer"
    VALID_FROM = "Valid from", "Válido desde", "Gültig ab"
    VALID_TO = "Valid until", "Válido hasta", "Gültig bis"
    AUTHORITY = "Signed by the authority", "Firmado por la autoridad", "Unterschrieben von der Zertifizierungsstelle"
    RESET_HEAD = "If all is lost", "Si se ha perdido todo", "Wenn alles verloren ist"
    RESET_INTRO = (
        "Without the twelve words and without a device that is still signed in, nobody can open your encrypted folders, and this server can help least of all. You can give up the old keys to be able to make new ones.",
        "Sin las doce palabras y sin un dispositivo que siga conectado, nadie puede abrir sus carpetas cifradas, y este servidor menos que nadie. Puede renunciar a las claves antiguas para poder crear otras.",
        "Ohne die zwölf Wörter und ohne ein Gerät, das noch angemeldet ist, kann niemand Ihre verschlüsselten Ordner öffnen, dieser Server am allerwenigsten. Sie können die alten Schlüssel aufgeben, um neue erstellen zu können.",
    )
    RESET_LINK = "Give up my keys", "Renunciar a mis claves", "Meine Schlüssel aufgeben"
    RESET_DONE = (
        "Your keys were removed. Set up end-to-end encryption anew on a device of yours.",
        "Se han eliminado sus claves. Vuelva a configurar el cifrado de extremo a extremo en un dispositivo suyo.",
        "Ihre Schlüssel wurden entfernt. Richten Sie die Ende-zu-Ende-Verschlüsselung auf einem Ihrer Geräte neu ein.",
    )


class ResetText(Text):
    """The page on which keys are given up."""

    TITLE = "Give up your keys?", "¿Renunciar a sus claves?", "Ihre Schlüssel aufgeben?"
    FIRST = (
        "Look first: a device on which your encrypted folders still open can show the twelve words (candado key show, or the settings of your app). Then you need none of this.",
        "Compruebe antes: un dispositivo en el que sus carpetas cifradas todavía se abran puede mostrar las doce palabras (candado key show, o los ajustes de su aplicación). En ese caso no necesita nada de esto.",
        "Prüfen Sie zuerst: Ein Gerät, auf dem sich Ihre verschlüsselten Ordner noch öffnen lassen, kann die zwölf Wörter anzeigen (candado key show oder die Einstellungen Ihrer App). Dann brauchen Sie all das nicht.",
    )
    LOST = "What is lost", "Qué se pierde", "Was verloren geht"
    LOST_FOLDERS = (
        "With new keys you cannot open these folders. Nobody can who was not a member before:",
        "Con claves nuevas no podrá abrir estas carpetas. Nadie que no fuera ya miembro podrá:",
        "Mit neuen Schlüsseln können Sie diese Ordner nicht öffnen. Niemand kann das, der nicht schon Mitglied war:",
    )
    LOST_NONE = (
        "You own no encrypted folder on this server.",
        "No es propietario de ninguna carpeta cifrada en este servidor.",
        "Ihnen gehört kein verschlüsselter Ordner auf diesem Server.",
    )
    LOST_TRUST = (
        "Everybody who compared your fingerprint sees that your key changed, and has to compare the new one.",
        "Todos los que compararon su huella verán que su clave ha cambiado y tendrán que comparar la nueva.",
        "Alle, die Ihren Fingerabdruck verglichen haben, sehen, dass sich Ihr Schlüssel geändert hat, und müssen den neuen vergleichen.",
    )
    LOST_WORDS = (
        "The old twelve words open nothing on this server any more.",
        "Las doce palabras antiguas ya no abrirán nada en este servidor.",
        "Die alten zwölf Wörter öffnen auf diesem Server nichts mehr.",
    )
    STAYS = "What stays", "Qué se conserva", "Was bleibt"
    STAYS_PLAIN = (
        "Your account, its devices, and all folders that are not encrypted.",
        "Su cuenta, sus dispositivos y todas las carpetas que no están cifradas.",
        "Ihr Konto, seine Geräte und alle Ordner, die nicht verschlüsselt sind.",
    )
    STAYS_COPIES = (
        "Files that were synced to a computer stay there, readable as before.",
        "Los archivos sincronizados en un ordenador se quedan allí, legibles como antes.",
        "Dateien, die auf einen Computer synchronisiert wurden, bleiben dort, lesbar wie bisher.",
    )
    STAYS_MEMBERS = (
        "The other members of your folders go on reading them. The encrypted files stay on the server until you delete them.",
        "Los demás miembros de sus carpetas podrán seguir leyéndolas. Los archivos cifrados siguen en el servidor hasta que usted los elimine.",
        "Die anderen Mitglieder Ihrer Ordner können sie weiterhin lesen. Die verschlüsselten Dateien bleiben auf dem Server, bis Sie sie löschen.",
    )
    AGAIN = "Who must share again", "Quién debe compartir de nuevo", "Wer neu teilen muss"
    AGAIN_PEOPLE = (
        "Each of these people must end the share with you and share again, after comparing your new fingerprint:",
        "Cada una de estas personas debe dejar de compartir con usted y volver a hacerlo, después de comparar su nueva huella:",
        "Jede dieser Personen muss die Freigabe für Sie beenden und neu teilen, nachdem sie Ihren neuen Fingerabdruck verglichen hat:",
    )
    AGAIN_NONE = (
        "Nobody shares an encrypted folder with you.",
        "Nadie comparte con usted una carpeta cifrada.",
        "Niemand teilt einen verschlüsselten Ordner mit Ihnen.",
    )
    APPROVAL = (
        "On this server, administrators must approve your new key ({count} of them) before you can use it.",
        "En este servidor, los administradores ({count}) deben aprobar su nueva clave antes de que pueda usarla.",
        "Auf diesem Server muss die Verwaltung ({count} Personen) Ihren neuen Schlüssel genehmigen, bevor Sie ihn nutzen können.",
    )
    TYPE_NAME = (
        "Type your user name, {user}, if you have understood this",
        "Escriba su nombre de usuario, {user}, si lo ha entendido",
        "Geben Sie Ihren Benutzernamen, {user}, ein, wenn Sie das verstanden haben",
    )
    DO = "Remove my keys for good", "Eliminar mis claves definitivamente", "Meine Schlüssel endgültig entfernen"
    NOT_TYPED = (
        "That is not your user name. Nothing was changed.",
        "Ese no es su nombre de usuario. No se ha cambiado nada.",
        "Das ist nicht Ihr Benutzername. Es wurde nichts geändert.",
    )


class SharingText(Text):
    """The page of encrypted folders and shares."""

    TITLE = "Folders and shares", "Carpetas y recursos compartidos", "Ordner und Freigaben"
    ENCRYPTED = "Your encrypted folders", "Sus carpetas cifradas", "Ihre verschlüsselten Ordner"
    ENCRYPTED_ONE = (
        "{count} folder, {size} in all. The server knows its name, but nothing of what is in it.",
        "{count} carpeta, {size} en total. El servidor conoce su nombre, pero nada de su contenido.",
        "{count} Ordner, insgesamt {size}. Der Server kennt seinen Namen, aber nichts von seinem Inhalt.",
    )
    ENCRYPTED_MANY = (
        "{count} folders, {size} in all. The server knows their names, but nothing of what is in them.",
        "{count} carpetas, {size} en total. El servidor conoce sus nombres, pero nada de su contenido.",
        "{count} Ordner, insgesamt {size}. Der Server kennt ihre Namen, aber nichts von ihrem Inhalt.",
    )
    ENCRYPTED_NONE = (
        "You have no encrypted folder. Everything else that you store here can be read by who runs this server.",
        "No tiene ninguna carpeta cifrada. Todo lo demás que guarda aquí lo puede leer quien administra este servidor.",
        "Sie haben keinen verschlüsselten Ordner. Alles andere, was Sie hier speichern, kann lesen, wer diesen Server betreibt.",
    )
    REST_PLAIN = (
        "Only these folders are encrypted. All others can be read by who runs this server.",
        "Solo estas carpetas están cifradas. Todas las demás las puede leer quien administra este servidor.",
        "Nur diese Ordner sind verschlüsselt. Alle anderen kann lesen, wer diesen Server betreibt.",
    )
    FOLDER = "Folder", "Carpeta", "Ordner"
    SIZE = "Size", "Tamaño", "Größe"
    CHANGED = "Changed", "Modificado", "Geändert"
    SHARED = "Shares", "Compartida", "Freigaben"
    WITH_ME = "Shared with you", "Compartido con usted", "Mit Ihnen geteilt"
    WITH_ME_NONE = (
        "Nobody shares anything with you.",
        "Nadie comparte nada con usted.",
        "Niemand teilt etwas mit Ihnen.",
    )
    BY_ME = "Shared by you", "Compartido por usted", "Von Ihnen geteilt"
    BY_ME_NONE = "You share nothing.", "No comparte nada.", "Sie teilen nichts."
    WHAT = "What", "Qué", "Was"
    WHO = "From", "De", "Von"
    TO = "With", "Con", "Mit"
    SINCE = "Since", "Desde", "Seit"
    RIGHTS = "Rights", "Permisos", "Rechte"
    READ = "read", "leer", "lesen"
    WRITE = "read and write", "leer y escribir", "lesen und schreiben"
    DROP = "upload only", "solo subir", "nur hochladen"
    GROUP = "{name} (group)", "{name} (grupo)", "{name} (Gruppe)"
    LINK = "a link", "un enlace", "ein Link"
    LINK_LABEL = "a link, {label}", "un enlace, {label}", "ein Link, {label}"
    IS_ENCRYPTED = "end-to-end encrypted", "cifrado de extremo a extremo", "Ende-zu-Ende-verschlüsselt"
    IS_PLAIN = "not encrypted", "sin cifrar", "nicht verschlüsselt"
    UNTIL = "until {day}", "hasta el {day}", "bis {day}"
