"""Texts of what administrators do, each with what it means.

Layer: ``apps``; pure.
"""

from candado.apps.texts.speech import Text

__all__ = ["ActText", "FieldText"]


class FieldText(Text):
    """Fields of these forms."""

    USER = (
        "User name: 1 to 64 letters, digits or . _ @ -",
        "Nombre de usuario: de 1 a 64 letras, cifras o . _ @ -",
        "Benutzername: 1 bis 64 Buchstaben, Ziffern oder . _ @ -",
    )
    SHOWN = (
        "Name shown to others (may be empty)",
        "Nombre que ven los demás (puede quedar vacío)",
        "Angezeigter Name (kann leer sein)",
    )
    EMAIL = (
        "E-mail address (may be empty; nothing is sent)",
        "Correo electrónico (puede quedar vacío; no se envía nada)",
        "E-Mail-Adresse (kann leer sein; es wird nichts gesendet)",
    )
    QUOTA = (
        "Space, such as 10 GB, or none for unlimited",
        "Espacio, por ejemplo 10 GB, o none para sin límite",
        "Speicherplatz, zum Beispiel 10 GB, oder none für unbegrenzt",
    )
    GROUP = "Group", "Grupo", "Gruppe"
    GROUP_OPTIONAL = "Group (may be empty)", "Grupo (puede quedar vacío)", "Gruppe (kann leer sein)"
    REASON = "Reason", "Motivo", "Grund"
    TYPED = (
        "Type the name {name} to confirm",
        "Escriba el nombre {name} para confirmar",
        "Geben Sie zur Bestätigung den Namen {name} ein",
    )
    NOT_TYPED = (
        "That is not the name. Nothing was changed.",
        "Ese no es el nombre. No se ha cambiado nada.",
        "Das ist nicht der Name. Es wurde nichts geändert.",
    )
    NOT_ONESELF = (
        "Nobody can do this to the own account here.",
        "Nadie puede hacer esto con su propia cuenta aquí.",
        "Das kann hier niemand mit dem eigenen Konto tun.",
    )
    ABOUT = "About: {what}", "Sobre: {what}", "Betrifft: {what}"
    LINK = (
        "Give this link to the person, by a way that nobody else reads. It is shown only now, works once, and until {end}:",
        "Entregue este enlace a la persona por una vía que nadie más lea. Solo se muestra ahora, funciona una vez y hasta el {end}:",
        "Geben Sie diesen Link der Person auf einem Weg, den niemand sonst liest. Er wird nur jetzt angezeigt, gilt einmal und bis {end}:",
    )
    UNPUBLISHED = (
        "The key is revoked on this server. The signed list follows when the authority's key can be reached again.",
        "La clave está revocada en este servidor. La lista firmada seguirá cuando la clave de la autoridad vuelva a estar disponible.",
        "Der Schlüssel ist auf diesem Server gesperrt. Die unterschriebene Liste folgt, sobald der Schlüssel der Zertifizierungsstelle wieder erreichbar ist.",
    )


class ActText(Text):
    """Name and meaning of each act."""

    INVITE = "Invite a new user", "Invitar a un usuario nuevo", "Neuen Benutzer einladen"
    INVITE_WHY = (
        "The account is made at once, with a password that nobody knows. You get a link by which the person sets one, within seven days.",
        "La cuenta se crea de inmediato, con una contraseña que nadie conoce. Recibirá un enlace con el que la persona establece la suya, en un plazo de siete días.",
        "Das Konto wird sofort angelegt, mit einem Passwort, das niemand kennt. Sie erhalten einen Link, mit dem die Person eines festlegt, innerhalb von sieben Tagen.",
    )
    RESET = (
        "Make a link for a new password",
        "Crear un enlace para una contraseña nueva",
        "Link für ein neues Passwort erstellen",
    )
    RESET_WHY = (
        "The old password stays good until the link is used. A login password opens no encrypted folder: that needs a device or the twelve words.",
        "La contraseña antigua sigue siendo válida hasta que se use el enlace. Una contraseña de inicio de sesión no abre ninguna carpeta cifrada: para eso hace falta un dispositivo o las doce palabras.",
        "Das alte Passwort gilt, bis der Link benutzt wird. Ein Anmeldepasswort öffnet keinen verschlüsselten Ordner: Dazu braucht es ein Gerät oder die zwölf Wörter.",
    )
    DISABLE = "Disable the account", "Desactivar la cuenta", "Konto deaktivieren"
    DISABLE_WHY = (
        "Nobody can sign in to it any more, with a device neither. Nothing is deleted.",
        "Nadie podrá iniciar sesión en ella, tampoco con un dispositivo. No se elimina nada.",
        "Niemand kann sich damit mehr anmelden, auch kein Gerät. Es wird nichts gelöscht.",
    )
    ENABLE = "Enable the account", "Activar la cuenta", "Konto aktivieren"
    ENABLE_WHY = (
        "Password and devices work as before.",
        "La contraseña y los dispositivos funcionan como antes.",
        "Passwort und Geräte gelten wie zuvor.",
    )
    DELETE = "Delete the account", "Eliminar la cuenta", "Konto löschen"
    DELETE_WHY = (
        "The account goes with all its files, keys and shares, for good. What it shared vanishes for others, too. Export encrypted folders first, if anybody is to have them.",
        "La cuenta desaparece definitivamente con todos sus archivos, claves y recursos compartidos. Lo que compartía también desaparece para los demás. Exporte antes las carpetas cifradas si alguien debe conservarlas.",
        "Das Konto wird mit allen Dateien, Schlüsseln und Freigaben endgültig gelöscht. Was es geteilt hat, verschwindet auch für andere. Exportieren Sie verschlüsselte Ordner vorher, falls jemand sie behalten soll.",
    )
    PROMOTE = "Make an administrator", "Nombrar administrador", "Verwaltungsrechte geben"
    PROMOTE_WHY = (
        "An administrator can do all that these pages offer, to everybody.",
        "Un administrador puede hacer todo lo que ofrecen estas páginas, a cualquiera.",
        "Wer verwaltet, kann alles tun, was diese Seiten anbieten, bei allen.",
    )
    DEMOTE = "Take the administrator's right away", "Retirar el derecho de administrador", "Verwaltungsrechte nehmen"
    DEMOTE_WHY = (
        "The account itself stays as it is.",
        "La cuenta queda como está.",
        "Das Konto selbst bleibt, wie es ist.",
    )
    QUOTA = "Change the space", "Cambiar el espacio", "Speicherplatz ändern"
    QUOTA_WHY = (
        "What is stored already stays, even if it is more.",
        "Lo que ya está guardado se conserva, aunque sea más.",
        "Was schon gespeichert ist, bleibt, auch wenn es mehr ist.",
    )
    JOIN = "Put into a group", "Añadir a un grupo", "In eine Gruppe aufnehmen"
    JOIN_WHY = (
        "The user sees what is shared with the group. Those are plain folders only: encrypted ones are shared with people.",
        "El usuario verá lo que se comparte con el grupo. Solo son carpetas sin cifrar: las cifradas se comparten con personas.",
        "Der Benutzer sieht, was mit der Gruppe geteilt ist. Das sind nur unverschlüsselte Ordner: Verschlüsselte werden mit Personen geteilt.",
    )
    LEAVE = "Take out of a group", "Quitar de un grupo", "Aus einer Gruppe nehmen"
    LEAVE_WHY = (
        "What is shared with the group goes from the user's files.",
        "Lo que se comparte con el grupo desaparece de los archivos del usuario.",
        "Was mit der Gruppe geteilt ist, verschwindet aus den Dateien des Benutzers.",
    )
    SIGN_OUT = "Sign out all devices", "Cerrar la sesión en todos los dispositivos", "Alle Geräte abmelden"
    SIGN_OUT_WHY = (
        "All app passwords of the user end. Files on the devices stay there.",
        "Todas las contraseñas de aplicación del usuario dejan de valer. Los archivos de los dispositivos se quedan allí.",
        "Alle App-Passwörter des Benutzers enden. Dateien auf den Geräten bleiben dort.",
    )
    GROUP_ADD = "Make a group", "Crear un grupo", "Gruppe anlegen"
    GROUP_ADD_WHY = (
        "A group has no rights by itself.",
        "Un grupo no tiene derechos por sí mismo.",
        "Eine Gruppe hat von sich aus keine Rechte.",
    )
    GROUP_DELETE = "Delete the group", "Eliminar el grupo", "Gruppe löschen"
    GROUP_DELETE_WHY = (
        "The shares with the group end. Its members stay.",
        "Lo compartido con el grupo deja de estarlo. Sus miembros se conservan.",
        "Die Freigaben für die Gruppe enden. Ihre Mitglieder bleiben.",
    )
    RELEASE = "Release the lock", "Liberar el bloqueo", "Sperre lösen"
    RELEASE_WHY = (
        "What was written under this lock is undone; what was there before stays as it was. The device that holds it notices at its next write, and begins anew from its own files. Do this only when that device is gone.",
        "Lo escrito con este bloqueo se deshace; lo que había antes queda como estaba. El dispositivo que lo mantiene lo notará en su próxima escritura y empezará de nuevo con sus propios archivos. Hágalo solo si ese dispositivo ha desaparecido.",
        "Was unter dieser Sperre geschrieben wurde, wird rückgängig gemacht; was vorher da war, bleibt, wie es war. Das Gerät, das sie hält, merkt es beim nächsten Schreiben und beginnt neu mit seinen eigenen Dateien. Tun Sie das nur, wenn dieses Gerät verschwunden ist.",
    )
    REVOKE = "Revoke the key", "Revocar la clave", "Schlüssel sperren"
    REVOKE_WHY = (
        "For good: the key never gets a certificate again, and nobody shares anything new with it. What it can open already stays readable for whoever has it: members must take the user out of their folders.",
        "Es definitivo: la clave no volverá a recibir un certificado y nadie compartirá nada nuevo con ella. Lo que ya puede abrir seguirá siendo legible para quien la tenga: los miembros deben sacar al usuario de sus carpetas.",
        "Endgültig: Der Schlüssel bekommt nie wieder ein Zertifikat, und niemand teilt mehr etwas Neues mit ihm. Was er schon öffnen kann, bleibt für seinen Besitzer lesbar: Die Mitglieder müssen den Benutzer aus ihren Ordnern nehmen.",
    )
    APPROVE = "Approve the new key", "Aprobar la clave nueva", "Neuem Schlüssel zustimmen"
    APPROVE_WHY = (
        "Only if the person has confirmed this fingerprint to you by another way than this server. With the new key, the keys that the user had before are revoked.",
        "Solo si la persona le ha confirmado esta huella por otra vía que no sea este servidor. Con la clave nueva, las anteriores del usuario quedan revocadas.",
        "Nur wenn die Person Ihnen diesen Fingerabdruck auf einem anderen Weg als über diesen Server bestätigt hat. Mit dem neuen Schlüssel werden die bisherigen des Benutzers gesperrt.",
    )
    REJECT = "Reject the new key", "Rechazar la clave nueva", "Neuen Schlüssel ablehnen"
    REJECT_WHY = (
        "A rejection is final for this key.",
        "El rechazo es definitivo para esta clave.",
        "Eine Ablehnung ist für diesen Schlüssel endgültig.",
    )
