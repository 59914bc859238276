"""The graphical desktop client, as packaged: one device of one user, in a session of its own."""

import socket
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from tests.interop.session import Session, wait_for

_POLL = "remotePollInterval=5000"  # the least it takes
_BUTTON = "button|push button"  # the two releases differ
_WORDS = 12
_BROWSER = """#!/bin/sh
echo "$1" >>"$HOME/visited"
"""


@dataclass
class Desktop:
    """The client on its session."""

    session: Session
    user: str
    url: str

    @property
    def folder(self) -> Path:
        """What it syncs."""
        return self.session.home / "cloud"

    def files(self, name: str) -> dict[str, bytes | None]:
        """Content by path below one of its folders, None for folders."""
        top = self.folder / name
        found: dict[str, bytes | None] = {}
        for place in sorted(top.rglob("*")):
            if not place.name.startswith("."):  # a download that is under way
                try:
                    found[place.relative_to(top).as_posix()] = None if place.is_dir() else place.read_bytes()
                except FileNotFoundError:
                    continue
        return found

    # --- the account -------------------------------------------------------------------------------------

    def set_up_with_password(self, password: str) -> None:
        """An account from the command line, and the start of the client."""
        account = ("--userid", self.user, "--apppassword", password, "--serverurl", self.url)
        self.session.run("nextcloud", *account, "--localdirpath", self.folder, "--isvfsenabled", "0")
        # 3.16.7 ends before the keyring has it, and would ask for it at its start.
        schema = ("server", "Nextcloud", "type", "plaintext", "xdg:schema", "org.qt.keychain")
        self.session.run("secret-tool", "store", "--label=Nextcloud", "user", self._key(), *schema, stdin=password)
        self._poll_often()
        self._launch("--background")

    def set_up_in_the_browser(self, password: str) -> None:
        """An account by the sign-in page (login flow v2): we are the browser and the person in front of it."""
        browser = self.session.home / "bin" / "xdg-open"
        browser.parent.mkdir()
        browser.write_text(_BROWSER)
        browser.chmod(0o755)
        self.session.run("nextcloud", "--overrideserverurl", self.url, "--overridelocaldir", self.folder)
        self._poll_often()
        self._launch()
        visited = self.session.home / "visited"
        page = wait_for(lambda: visited.exists() and visited.read_text().strip(), "the client to open the browser")
        form = urllib.parse.urlencode({"user": self.user, "password": password}).encode()
        with urllib.request.urlopen(str(page), form, 30) as answer:
            assert "The device is in" in answer.read().decode()

    def wait_until_connected(self) -> None:
        """Wait for the first sync; 3.16.7 asks only every 30 s whether the person has signed in."""
        wait_for(lambda: "STATUS:OK" in self._status(self.folder), "the first sync", 90)

    def restart(self) -> None:
        """End the client and start it again."""
        self.session.run("nextcloud", "--quit")
        self.session.wait_for_spawned()
        self._launch("--background")
        self.wait_until_connected()

    def _key(self) -> str:
        return f"{self.user}:{self.url}/:0"

    def _poll_often(self) -> None:
        settings = self.session.home / ".config" / "Nextcloud" / "nextcloud.cfg"
        text = settings.read_text()
        assert "[Nextcloud]" not in text, text
        settings.write_text(f"{text}\n[Nextcloud]\n{_POLL}\n")

    def _launch(self, *options: str) -> None:
        log = ("--logdebug", "--logflush", "--logfile", str(self.session.home / "client.log"))
        self.session.spawn("nextcloud", *log, *options)

    # --- its socket --------------------------------------------------------------------------------------

    def _tell(self, line: str, answer: str) -> str:
        """Send one line to the socket for file managers; the first line that comes back and begins as wanted."""
        with socket.socket(socket.AF_UNIX) as channel:
            channel.settimeout(30)
            channel.connect(str(self.session.run_folder / "Nextcloud" / "socket"))
            channel.sendall(f"{line}\n".encode())
            with channel.makefile("r") as lines:
                return next(told.strip() for told in lines if told.startswith(answer))

    def _status(self, place: Path) -> str:
        try:
            return self._tell(f"RETRIEVE_FOLDER_STATUS:{place}", "STATUS:")
        except OSError:  # it does not listen yet
            return ""

    # --- encryption --------------------------------------------------------------------------------------

    def make_keys(self) -> str:
        """Set up encryption as the first device; the twelve words."""

        def look() -> str:
            shown = self.session.screen("text", "text", "") or ""
            return next((line for line in shown.splitlines() if len(line.split()) == _WORDS), "")

        self._open_settings()
        self.session.press(_BUTTON, "Set up encryption")
        words = wait_for(look, "the twelve words")
        self.session.press(_BUTTON, "OK")
        kept = f"{self.user}_e2e-mnemonic:{self.url}/:0"
        assert self.session.run("secret-tool", "lookup", "user", kept, "server", "Nextcloud").stdout.strip() == words
        return words

    def enter_words(self, words: str) -> None:
        """Set up encryption as a further device."""
        question = "Please enter your end-to-end.*"
        self._open_settings()
        self.session.press(_BUTTON, "Set up encryption")
        wait_for(lambda: self.session.screen("type", ".*", question, words), "the question for the words")
        self.session.press(_BUTTON, "OK")
        wait_for(lambda: not self.session.screen("find", ".*", question), "the words to be taken")

    def _open_settings(self) -> None:
        def look() -> bool:
            # A second start brings up the first one's window: the main one in 3.16.7, the settings in newer ones.
            self.session.run("timeout", "10", "nextcloud", status=None)
            if self.session.screen("press", ".*", "Current account"):
                self.session.press("menu item", "Settings")
            return self.session.screen("find", _BUTTON, "Set up encryption") is not None

        wait_for(look, "the settings")

    def make_encrypted(self, name: str) -> None:
        """A new encrypted folder."""
        place = self.folder / name
        place.mkdir()
        wait_for(lambda: "STATUS:OK" in self._status(place), f"{name} to be synced")
        self._tell(f"ENCRYPT:{place}\nVERSION:", "VERSION:")
        wait_for(lambda: self.session.screen("find", ".*", "Folder encrypted successfully.*"), "the good news")
        self.session.press(_BUTTON, "OK")

    def share(self, name: str, person: str) -> None:
        """Share one of its folders by the dialog; it stays open."""
        assert "SHARE:OK" in self._tell(f"SHARE:{self.folder / name}", "SHARE:")
        wait_for(lambda: self.session.screen("find", "label", "Secure file drop"), "the list of shares")
        wait_for(lambda: self.session.screen("focus", "text", ""), "the field for names")
        self.session.run("xdotool", "type", "--delay", "80", person)
        wait_for(lambda: self.session.screen("find", "list item", person), f"{person} to be offered")
        self.session.run("xdotool", "key", "Down")
        self.session.run("xdotool", "key", "Return")
        wait_for(lambda: self._shares_with(person), f"{person} among the shares")

    def unshare(self, person: str) -> None:
        """End the only share with a person in the open dialog."""
        self.session.press(_BUTTON, "")  # the three dots beside the name, above the plus of the file drop
        self.session.press(_BUTTON, "Unshare")
        wait_for(lambda: self._shares_with(person) is False, "the share to be gone")

    def _shares_with(self, person: str) -> bool | None:
        """Whether the list in the open dialog has the person; None as long as there is no list."""
        if not self.session.screen("find", "label", "Secure file drop"):
            return None
        return bool(self.session.screen("find", "label", f"{person}.*"))
