"""Texts of the page of the audit log, and of the script that verifies it.

Layer: ``apps``; pure.
"""

from candado.apps.texts.speech import Text

__all__ = ["AuditText", "VerifyText"]


class AuditText(Text):
    """The viewer."""

    INTRO = (
        "Nobody is named in this log: users are u: and a number, folders n:, shares sh:, keys k:, devices d:. A user name in the filter is turned into its number here.",
        "En este registro no se nombra a nadie: los usuarios son u: y un número; las carpetas, n:; los recursos compartidos, sh:; las claves, k:; los dispositivos, d:. Un nombre de usuario en el filtro se convierte aquí en su número.",
        "In diesem Protokoll wird niemand genannt: Benutzer sind u: und eine Nummer, Ordner n:, Freigaben sh:, Schlüssel k:, Geräte d:. Ein Benutzername im Filter wird hier in seine Nummer übersetzt.",
    )
    SIZE = (
        "{count} events. The newest checkpoint covers {signed} of them.",
        "{count} sucesos. El último punto de control cubre {signed}.",
        "{count} Ereignisse. Der neueste Prüfpunkt umfasst {signed} davon.",
    )
    NO_CHECKPOINT = (
        "{count} events. There is no checkpoint yet.",
        "{count} sucesos. Todavía no hay ningún punto de control.",
        "{count} Ereignisse. Es gibt noch keinen Prüfpunkt.",
    )
    KIND = (
        "Kind begins with, such as user or certificate.issued",
        "El tipo empieza por, por ejemplo user o certificate.issued",
        "Art beginnt mit, zum Beispiel user oder certificate.issued",
    )
    WHO = "User name, or an id such as n:5", "Nombre de usuario, o un id como n:5", "Benutzername, oder eine Id wie n:5"
    OUTCOME = "Outcome", "Resultado", "Ergebnis"
    ANY = "any", "cualquiera", "alle"
    FROM = "From day (UTC)", "Desde el día (UTC)", "Ab Tag (UTC)"
    TO = "To day (UTC)", "Hasta el día (UTC)", "Bis Tag (UTC)"
    FILTER = "Filter", "Filtrar", "Filtern"
    EVENTS = "Events", "Sucesos", "Ereignisse"
    NUMBER = "Number", "Número", "Nummer"
    TIME = "Time", "Hora", "Zeit"
    EVENT = "Event", "Suceso", "Ereignis"
    ACTOR = "Who", "Quién", "Wer"
    TARGET = "On what", "Sobre qué", "Woran"
    RECORD = "Record", "Registro", "Datensatz"
    WHOLE = "the whole line", "la línea completa", "die ganze Zeile"
    NONE = (
        "No event fits in this part of the log.",
        "Ningún suceso coincide en esta parte del registro.",
        "In diesem Teil des Protokolls passt kein Ereignis.",
    )
    OLDER = "Older events", "Sucesos anteriores", "Ältere Ereignisse"
    VERIFY = "Verify what is shown", "Verificar lo mostrado", "Gezeigtes prüfen"
    VERIFY_INTRO = (
        "Your browser checks by itself that every line shown is in the log that the authority's key signed, and that the log only grew since it looked last. This uses a script of this server: whoever wants to trust nothing here runs candado-server audit verify on another machine.",
        "Su navegador comprueba por sí mismo que cada línea mostrada está en el registro firmado con la clave de la autoridad y que el registro solo ha crecido desde la última vez. Para ello usa un script de este servidor: quien no quiera confiar en nada de aquí puede ejecutar candado-server audit verify en otra máquina.",
        "Ihr Browser prüft selbst, dass jede gezeigte Zeile in dem Protokoll steht, das der Schlüssel der Zertifizierungsstelle unterschrieben hat, und dass das Protokoll seit dem letzten Mal nur gewachsen ist. Dazu dient ein Skript dieses Servers: Wer hier nichts vertrauen will, führt candado-server audit verify auf einem anderen Rechner aus.",
    )
    NO_SCRIPT = (
        "Verifying here needs JavaScript.",
        "Para verificar aquí hace falta JavaScript.",
        "Das Prüfen hier braucht JavaScript.",
    )
    KEY = "Key of the authority", "Clave de la autoridad", "Schlüssel der Zertifizierungsstelle"


class VerifyText(Text):
    """What the script says; a name in angle brackets is filled in by it."""

    WORKING = "Verifying…", "Verificando…", "Wird geprüft…"
    GOOD = (
        "Verified. Lines shown that are in the signed log: <done>. The log has <size> events. Compare the key's fingerprint with the one you know: <key>",
        "Verificado. Líneas mostradas que están en el registro firmado: <done>. El registro tiene <size> sucesos. Compare la huella de la clave con la que usted conoce: <key>",
        "Geprüft. Gezeigte Zeilen, die im unterschriebenen Protokoll stehen: <done>. Das Protokoll hat <size> Ereignisse. Vergleichen Sie den Fingerabdruck des Schlüssels mit dem, den Sie kennen: <key>",
    )
    LATER = (
        "Newer than the signature: <count>; verify those again in a while.",
        "Posteriores a la firma: <count>; vuelva a verificarlas más tarde.",
        "Neuer als die Unterschrift: <count>; prüfen Sie diese später noch einmal.",
    )
    GREW = (
        "The log only grew since this browser verified <size> events.",
        "El registro solo ha crecido desde que este navegador verificó <size> sucesos.",
        "Das Protokoll ist nur gewachsen, seit dieser Browser <size> Ereignisse geprüft hat.",
    )
    BAD = "NOT VERIFIED: <reason>", "NO VERIFICADO: <reason>", "NICHT GEPRÜFT: <reason>"
    NO_CRYPTO = (
        "this browser verifies on https addresses only",
        "este navegador solo verifica en direcciones https",
        "dieser Browser prüft nur auf https-Adressen",
    )
    STATUS = "the server answered <status>", "el servidor respondió <status>", "der Server antwortete <status>"
    NO_SIGNATURE = (
        "the checkpoint has no good signature of this key",
        "el punto de control no tiene una firma válida de esta clave",
        "der Prüfpunkt hat keine gültige Unterschrift dieses Schlüssels",
    )
    OTHER_KEY = (
        "the key is another than this browser saw before",
        "la clave no es la que este navegador vio antes",
        "der Schlüssel ist ein anderer, als dieser Browser zuvor gesehen hat",
    )
    NOT_IN = (
        "line <seq> is not in the signed log",
        "la línea <seq> no está en el registro firmado",
        "Zeile <seq> steht nicht im unterschriebenen Protokoll",
    )
    OTHER_LINE = (
        "the table shows something else than line <seq>",
        "la tabla muestra algo distinto de la línea <seq>",
        "die Tabelle zeigt etwas anderes als Zeile <seq>",
    )
    FORKED = (
        "the log is not the one that this browser verified before",
        "el registro no es el que este navegador verificó antes",
        "das Protokoll ist nicht das, das dieser Browser zuvor geprüft hat",
    )
