"""Texts of the page of access rules.

Layer: ``apps``; pure.
"""

from candado.apps.texts.speech import Text

__all__ = ["RuleText"]


class RuleText(Text):
    """The rules in force, a change to them, and the tester."""

    INTRO = (
        "A rule says what is not allowed. Inside of encrypted folders the server sees neither names nor types: there, tests of name and mime match nothing. Use the test encrypted.",
        "Una regla dice qué no está permitido. Dentro de las carpetas cifradas el servidor no ve nombres ni tipos: allí, las pruebas de name y mime no coinciden con nada. Use la prueba encrypted.",
        "Eine Regel sagt, was nicht erlaubt ist. In verschlüsselten Ordnern sieht der Server weder Namen noch Typen: Dort passen die Prüfungen name und mime auf nichts. Verwenden Sie die Prüfung encrypted.",
    )
    IN_FORCE = (
        "Version {version} is in force, changed {at} by {who}.",
        "Está en vigor la versión {version}, cambiada el {at} por {who}.",
        "In Kraft ist Version {version}, geändert {at} von {who}.",
    )
    NEVER = "There never were any rules.", "Nunca ha habido reglas.", "Es gab noch nie Regeln."
    OPERATOR = "a command on the server", "una orden en el servidor", "einem Befehl auf dem Server"
    DOCUMENT = "The rules, as TOML", "Las reglas, en TOML", "Die Regeln, als TOML"
    NOTE = (
        "Why (one line, may be empty)",
        "Por qué (una línea, puede quedar vacío)",
        "Warum (eine Zeile, kann leer sein)",
    )
    PASSWORD = (
        "Your password, only to put them into force",
        "Su contraseña, solo para ponerlas en vigor",
        "Ihr Passwort, nur zum Inkraftsetzen",
    )
    CHECK = "Check, change nothing", "Comprobar sin cambiar nada", "Prüfen, nichts ändern"
    STORE = "Put into force", "Poner en vigor", "In Kraft setzen"
    FORCE = (
        "A rule that denies something to everybody is meant",
        "Es intencionada una regla que niega algo a todos",
        "Eine Regel, die allen etwas verbietet, ist so gemeint",
    )
    GOOD = (
        "There is nothing odd about these rules.",
        "No hay nada extraño en estas reglas.",
        "An diesen Regeln ist nichts auffällig.",
    )
    FINDINGS = "What is odd about them", "Qué tienen de extraño", "Was an ihnen auffällt"
    STORED = "These rules are in force now.", "Estas reglas ya están en vigor.", "Diese Regeln sind jetzt in Kraft."
    OLD_STAY = (
        "The rules in force stay as they are.",
        "Las reglas en vigor quedan como están.",
        "Die Regeln in Kraft bleiben, wie sie sind.",
    )
    CONFLICT = (
        "Somebody else changed the rules first: version {version} is in force now. Nothing was lost: your text is in the form, theirs below it. Bring both together; what you send next replaces version {version}.",
        "Otra persona cambió antes las reglas: ahora está en vigor la versión {version}. No se ha perdido nada: su texto está en el formulario y el de la otra persona, debajo. Combine ambos; lo que envíe a continuación sustituye a la versión {version}.",
        "Jemand anderes hat die Regeln zuerst geändert: Jetzt ist Version {version} in Kraft. Nichts ging verloren: Ihr Text steht im Formular, der andere darunter. Führen Sie beide zusammen; was Sie als Nächstes senden, ersetzt Version {version}.",
    )
    THEIRS = (
        "Version {version}, which is in force",
        "La versión {version}, en vigor",
        "Version {version}, die in Kraft ist",
    )
    TESTER = "Try a case", "Probar un caso", "Einen Fall ausprobieren"
    TESTER_INTRO = (
        "Asks the text in the form above, or the rules in force if you have not changed it. Nothing is stored.",
        "Consulta el texto del formulario de arriba, o las reglas en vigor si no lo ha cambiado. No se guarda nada.",
        "Fragt den Text im Formular oben, oder die Regeln in Kraft, wenn Sie ihn nicht geändert haben. Es wird nichts gespeichert.",
    )
    OPERATION = "Operation", "Operación", "Vorgang"
    USER = (
        "User (empty: a visitor of a link)",
        "Usuario (vacío: un visitante de un enlace)",
        "Benutzer (leer: Besuch über einen Link)",
    )
    PATH = (
        "Path, such as /Contracts/offer.pdf",
        "Ruta, por ejemplo /Contratos/oferta.pdf",
        "Pfad, zum Beispiel /Verträge/Angebot.pdf",
    )
    SIZE = "Size in bytes", "Tamaño en bytes", "Größe in Bytes"
    ADDRESS = "Network address", "Dirección de red", "Netzwerkadresse"
    AGENT = "User agent", "Agente de usuario", "User-Agent"
    ENCRYPTED = "Inside of an encrypted folder", "Dentro de una carpeta cifrada", "In einem verschlüsselten Ordner"
    DEVICE = "From a device that signed in", "Desde un dispositivo con sesión iniciada", "Von einem angemeldeten Gerät"
    TRY = "Try", "Probar", "Ausprobieren"
    ALLOWED = "Allowed.", "Permitido.", "Erlaubt."
    DENIED = (
        "Denied by rule {rule}: {message}",
        "Denegado por la regla {rule}: {message}",
        "Verboten durch Regel {rule}: {message}",
    )
    REPORTED = "Only reported, by: {rules}", "Solo se notifica, por: {rules}", "Nur gemeldet, durch: {rules}"
    HISTORY = "Earlier versions", "Versiones anteriores", "Frühere Versionen"
    HISTORY_ROW = (
        "Version {version}, {at}, by {who}. {note}",
        "Versión {version}, {at}, por {who}. {note}",
        "Version {version}, {at}, von {who}. {note}",
    )
