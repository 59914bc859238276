"""Texts of the pages of administrators.

Layer: ``apps``; pure.
"""

from candado.apps.texts.speech import Text

__all__ = ["AdminText", "AuthorityText", "RecoveryText", "UserText"]


class AdminText(Text):
    """The frame, the overview, groups and locks."""

    ADMINISTRATION = "Administration", "Administración", "Verwaltung"
    OVERVIEW = "Overview", "Resumen", "Übersicht"
    USERS = "Users", "Usuarios", "Benutzer"
    GROUPS = "Groups", "Grupos", "Gruppen"
    LOCKS = "Locks", "Bloqueos", "Sperren"
    AUTHORITY = "Authority", "Autoridad", "Zertifizierungsstelle"
    RECOVERY = "Recovery", "Recuperación", "Wiederherstellung"
    RULES = "Access rules", "Reglas de acceso", "Zugriffsregeln"
    AUDIT = "Audit log", "Registro de auditoría", "Audit-Protokoll"
    OWN = "Your account", "Su cuenta", "Ihr Konto"
    DONE = "Done: {what}.", "Hecho: {what}.", "Erledigt: {what}."
    NUMBERS = "At a glance", "De un vistazo", "Auf einen Blick"
    N_USERS = "users", "usuarios", "Benutzer"
    N_DISABLED = "of them disabled", "de ellos, desactivados", "davon deaktiviert"
    N_KEYS = "with keys", "con claves", "mit Schlüsseln"
    N_NO_KEYS = "without keys", "sin claves", "ohne Schlüssel"
    N_DEVICES = "devices", "dispositivos", "Geräte"
    N_FOLDERS = (
        "encrypted folders, nested ones included",
        "carpetas cifradas, incluidas las anidadas",
        "verschlüsselte Ordner, auch innere",
    )
    N_LOCKS = "folders being written", "carpetas en escritura", "Ordner, in die geschrieben wird"
    N_REQUESTS = "new keys that wait", "claves nuevas pendientes", "neue Schlüssel, die warten"
    ATTENTION = "What needs you", "Qué requiere su atención", "Was Sie braucht"
    NOTHING = "Nothing waits for you.", "No hay nada pendiente.", "Nichts wartet auf Sie."
    WAITING = (
        "New keys wait for your decision.",
        "Hay claves nuevas que esperan su decisión.",
        "Neue Schlüssel warten auf Ihre Entscheidung.",
    )
    NO_KEYS_YET = (
        "Some users have no keys yet. Nobody can share an encrypted folder with them.",
        "Algunos usuarios todavía no tienen claves. Nadie puede compartir con ellos una carpeta cifrada.",
        "Einige Benutzer haben noch keine Schlüssel. Niemand kann einen verschlüsselten Ordner mit ihnen teilen.",
    )
    SERVER_SEES = (
        "This server, and whoever administrates it, knows the names of top encrypted folders, sizes, times, and who shares with whom. It knows no name, type or content inside of them, and no key.",
        "Este servidor, y quien lo administra, conoce los nombres de las carpetas cifradas superiores, los tamaños, las fechas y quién comparte con quién. No conoce ningún nombre, tipo ni contenido de su interior, ni ninguna clave.",
        "Dieser Server, und wer ihn verwaltet, kennt die Namen der obersten verschlüsselten Ordner, Größen, Zeiten und wer mit wem teilt. Er kennt keinen Namen, keinen Typ und keinen Inhalt darin und keinen Schlüssel.",
    )
    NO_GROUPS = "There are no groups.", "No hay grupos.", "Es gibt keine Gruppen."
    GROUP = "Group", "Grupo", "Gruppe"
    MEMBERS = "Members", "Miembros", "Mitglieder"
    NO_LOCKS = (
        "Nobody is writing into an encrypted folder.",
        "Nadie está escribiendo en una carpeta cifrada.",
        "Niemand schreibt gerade in einen verschlüsselten Ordner.",
    )
    LOCKS_INTRO = (
        "While a device writes into an encrypted folder it holds its lock. A lock whose device is gone ends by itself after {minutes} minutes without a sign of life, and all that was written under it is undone.",
        "Mientras un dispositivo escribe en una carpeta cifrada, mantiene su bloqueo. Un bloqueo cuyo dispositivo ha desaparecido termina por sí solo tras {minutes} minutos sin señales de vida, y todo lo escrito con él se deshace.",
        "Solange ein Gerät in einen verschlüsselten Ordner schreibt, hält es dessen Sperre. Eine Sperre, deren Gerät verschwunden ist, endet von selbst nach {minutes} Minuten ohne Lebenszeichen, und alles, was unter ihr geschrieben wurde, wird rückgängig gemacht.",
    )
    FOLDER = "Folder", "Carpeta", "Ordner"
    OWNER = "Owner", "Propietario", "Eigentümer"
    HOLDER = "Held by", "En uso por", "Gehalten von"
    SINCE = "Since", "Desde", "Seit"
    IDLE = "Last sign of life", "Última señal de vida", "Letztes Lebenszeichen"
    STAGED = "Written", "Escrito", "Geschrieben"
    A_LINK = "a visitor of a link", "un visitante de un enlace", "Besuch über einen Link"
    AGO = "{count} s ago", "hace {count} s", "vor {count} s"
    ACTION = "What you can do", "Qué puede hacer", "Was Sie tun können"


class UserText(Text):
    """Users."""

    SEARCH = "Part of a name", "Parte de un nombre", "Teil eines Namens"
    FIND = "Find", "Buscar", "Suchen"
    NONE = "No user has such a name.", "Ningún usuario tiene ese nombre.", "Kein Benutzer hat einen solchen Namen."
    NAME = "User", "Usuario", "Benutzer"
    STATE = "State", "Estado", "Status"
    SPACE = "Space", "Espacio", "Speicherplatz"
    KEYS = "Keys", "Claves", "Schlüssel"
    NEXT = "More users", "Más usuarios", "Weitere Benutzer"
    ENABLED = "enabled", "activado", "aktiv"
    DISABLED = "disabled", "desactivado", "deaktiviert"
    ADMIN = "administrator", "administrador", "Verwaltung"
    SPACE_OF = "{used} of {total}", "{used} de {total}", "{used} von {total}"
    SPACE_ALL = "{used}, unlimited", "{used}, sin límite", "{used}, unbegrenzt"
    HAS_KEYS = "complete", "completas", "vollständig"
    HALF_KEYS = "incomplete", "incompletas", "unvollständig"
    NO_KEYS = "none", "ninguna", "keine"
    REVOKED_KEYS = "revoked", "revocadas", "gesperrt"
    DISPLAY_NAME = "Name shown to others", "Nombre que ven los demás", "Angezeigter Name"
    EMAIL = "E-mail address", "Correo electrónico", "E-Mail-Adresse"
    IN_GROUPS = "Groups", "Grupos", "Gruppen"
    CREATED = "Created", "Creado", "Angelegt"
    DEVICES = "Devices", "Dispositivos", "Geräte"
    INVITED = "Link to set a password", "Enlace para establecer la contraseña", "Link zum Festlegen des Passworts"
    INVITED_UNTIL = "waits until {end}", "pendiente hasta el {end}", "wartet bis {end}"
    FINGERPRINT = "Fingerprint", "Huella", "Fingerabdruck"
    DASH = "–", "–", "–"


class AuthorityText(Text):
    """The authority: its key, certificates, new keys."""

    STATE = "State", "Estado", "Zustand"
    KIND = "Key", "Clave", "Schlüssel"
    IN_FILE = "in a file of this server", "en un archivo de este servidor", "in einer Datei dieses Servers"
    ON_TOKEN = (
        "on a security module: {place}",
        "en un módulo de seguridad: {place}",
        "auf einem Sicherheitsmodul: {place}",
    )
    SIGNS = "Signs", "Firma", "Unterschreibt"
    SIGNS_NOW = "yes, tried just now", "sí, comprobado ahora mismo", "ja, gerade geprüft"
    SIGNS_NOT = "not now: {reason}", "ahora no: {reason}", "zurzeit nicht: {reason}"
    SOFTWARE = (
        "The authority's key is a file: whoever reads it can issue certificates for every user. Use a security module.",
        "La clave de la autoridad es un archivo: quien lo lea puede emitir certificados para cualquier usuario. Use un módulo de seguridad.",
        "Der Schlüssel der Zertifizierungsstelle ist eine Datei: Wer sie liest, kann Zertifikate für alle Benutzer ausstellen. Verwenden Sie ein Sicherheitsmodul.",
    )
    REQUESTS = (
        "New keys of users who had one",
        "Claves nuevas de usuarios que ya tenían una",
        "Neue Schlüssel von Benutzern, die schon einen hatten",
    )
    REQUESTS_INTRO = (
        "Ask the person by another way than this server whether the key is theirs, and compare the fingerprint. {count} administrators must approve; nobody decides about a key of one's own.",
        "Pregunte a la persona, por otra vía que no sea este servidor, si la clave es suya y compare la huella. Deben aprobarla {count} administradores; nadie decide sobre su propia clave.",
        "Fragen Sie die Person auf einem anderen Weg als über diesen Server, ob der Schlüssel ihr gehört, und vergleichen Sie den Fingerabdruck. {count} Personen der Verwaltung müssen zustimmen; niemand entscheidet über den eigenen Schlüssel.",
    )
    REQUESTS_OFF = (
        "New keys need nobody's approval on this server (new_key_approvals is 0).",
        "En este servidor, las claves nuevas no necesitan aprobación (new_key_approvals es 0).",
        "Neue Schlüssel brauchen auf diesem Server keine Genehmigung (new_key_approvals ist 0).",
    )
    REQUESTS_NONE = "No key waits.", "Ninguna clave está pendiente.", "Kein Schlüssel wartet."
    ASKED = (
        "Asked {at}. Approved by: {people}.",
        "Solicitada el {at}. Aprobada por: {people}.",
        "Beantragt {at}. Zugestimmt haben: {people}.",
    )
    NOBODY = "nobody yet", "nadie todavía", "noch niemand"
    CERTIFICATES = "Certificates", "Certificados", "Zertifikate"
    CERTIFICATES_SHOWN = (
        "{shown} of {count} certificates, those first that end first.",
        "{shown} de {count} certificados, primero los que vencen antes.",
        "{shown} von {count} Zertifikaten, zuerst die, die zuerst enden.",
    )
    CERTIFICATES_NONE = (
        "No certificate was signed yet.",
        "Todavía no se ha firmado ningún certificado.",
        "Es wurde noch kein Zertifikat unterschrieben.",
    )
    USER = "User", "Usuario", "Benutzer"
    SERIAL = "Serial number", "Número de serie", "Seriennummer"
    ENDS = "Valid until", "Válido hasta", "Gültig bis"
    STATE_OF = "State", "Estado", "Status"
    VALID = "valid", "válido", "gültig"
    ENDING = "ends within 30 days", "vence en menos de 30 días", "endet in weniger als 30 Tagen"
    EXPIRED = "expired", "vencido", "abgelaufen"
    REVOKED = "revoked or replaced {at}", "revocado o sustituido el {at}", "gesperrt oder ersetzt {at}"


class RecoveryText(Text):
    """The organisation's recovery key."""

    OFF = (
        "No recovery key is announced. A user who loses the twelve words and all devices loses the encrypted folders.",
        "No se ha anunciado ninguna clave de recuperación. Quien pierda las doce palabras y todos los dispositivos perderá las carpetas cifradas.",
        "Es ist kein Wiederherstellungsschlüssel angekündigt. Wer die zwölf Wörter und alle Geräte verliert, verliert die verschlüsselten Ordner.",
    )
    ON = (
        "A recovery key is on. Whoever holds enough of its sheets can read every encrypted folder that carries it; each user is told so on every page and by our clients.",
        "Hay una clave de recuperación activa. Quien reúna suficientes de sus hojas puede leer todas las carpetas cifradas que la llevan; cada usuario lo ve en todas las páginas y en nuestros clientes.",
        "Ein Wiederherstellungsschlüssel ist aktiv. Wer genügend seiner Blätter hat, kann jeden verschlüsselten Ordner lesen, der ihn trägt; allen Benutzern wird das auf jeder Seite und in unseren Clients gesagt.",
    )
    STOPPED = (
        "The recovery key is switched off: no new folder carries it. Folders that carry it still do until their owners change that.",
        "La clave de recuperación está desactivada: ninguna carpeta nueva la lleva. Las que ya la llevan la conservan hasta que sus propietarios lo cambien.",
        "Der Wiederherstellungsschlüssel ist abgeschaltet: Kein neuer Ordner trägt ihn. Ordner, die ihn tragen, tragen ihn, bis ihre Eigentümer das ändern.",
    )
    ORGANISATION = "Key of the organisation", "Clave de la organización", "Schlüssel der Organisation"
    KEY = "Recovery key", "Clave de recuperación", "Wiederherstellungsschlüssel"
    SERIAL = "Policy number", "Número de la política", "Nummer der Richtlinie"
    TEXT = "What users are told", "Qué se dice a los usuarios", "Was den Benutzern gesagt wird"
    HOW = (
        "It is made, switched on and used offline, never here: see candado recovery and candado-server recovery in the documentation.",
        "Se crea, se activa y se usa sin conexión, nunca aquí: consulte candado recovery y candado-server recovery en la documentación.",
        "Er wird offline erstellt, eingeschaltet und benutzt, nie hier: siehe candado recovery und candado-server recovery in der Dokumentation.",
    )
