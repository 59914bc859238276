"""A remote that lies: wraps the port of one user and changes what goes through it."""

import inspect
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any, cast

from candado.errors import NotFoundError, TransportError
from candado.ports.client import RawMetadata, Remote, RemoteNode
from candado.types import FileId, LockToken
from tests.sim.remote import SimRemote


class Hostile:
    """The same methods as SimRemote; see ``tests.sim`` for the verbs."""

    def __init__(self, remote: SimRemote) -> None:
        self.remote = remote
        self.honest()

    @property
    def port(self) -> Remote:
        """This object with the type that the client asks for."""
        return cast("Remote", self)

    def honest(self) -> None:
        """Take all lies back."""
        self._replace: dict[str, list[Callable[[Any], Any]]] = defaultdict(list)
        self._fail: dict[str, list[Exception]] = defaultdict(list)
        self._fail_after: dict[str, list[Exception]] = defaultdict(list)
        self._swallow: set[str] = set()
        self._documents: dict[int, RawMetadata | None] = {}
        self._flags: dict[int, bool] = {}
        self._any_lock = False

    # --- verbs ----------------------------------------------------------------------------------------

    def replace(self, method: str, change: Callable[[Any], Any]) -> None:
        self._replace[method].append(change)

    def fail(self, method: str, error: Exception, times: int = 1) -> None:
        self._fail[method].extend([error] * times)

    def cut(self, method: str, *, after: bool = False) -> None:
        error = TransportError("the connection was cut", outcome_known=False)
        (self._fail_after if after else self._fail)[method].append(error)

    def drop_signature(self, file_id: int | None = None) -> None:
        def without(raw: RawMetadata) -> RawMetadata:
            current = self.remote.server.tree.metadata
            hit = file_id is None or (file_id in current and current[file_id][0] == raw.text)
            return RawMetadata(raw.text, None) if hit else raw

        self._replace["document"].append(without)

    def remember(self, file_id: int) -> RawMetadata:
        return RawMetadata(*self.remote.server.tree.metadata[file_id])

    def replay(self, file_id: int, raw: RawMetadata) -> None:
        self._documents[file_id] = raw

    def swap(self, one: int, other: int) -> None:
        self._documents[one], self._documents[other] = self.remember(other), self.remember(one)

    def vanish(self, file_id: int) -> None:
        self._documents[file_id] = None

    def flag(self, file_id: int, *, encrypted: bool) -> None:
        self._flags[file_id] = encrypted

    def lie_store(self, method: str) -> None:
        self._swallow.add(method)

    def grant_any_lock(self) -> None:
        self._any_lock = True

    # --- the port -------------------------------------------------------------------------------------

    @property
    def requests(self) -> int:
        return self.remote.requests

    def _document(self, file_id: int, raw: RawMetadata) -> RawMetadata | None:
        shown: RawMetadata | None = self._documents.get(file_id, raw)
        for change in self._replace["document"]:
            shown = change(shown) if shown is not None else None
        return shown

    def _listing(self, nodes: list[RemoteNode]) -> list[RemoteNode]:
        shown = []
        for node in nodes:
            if node.file_id in self._documents and self._documents[node.file_id] is None:
                if node is nodes[0]:
                    raise NotFoundError
                continue
            twin = replace(node, is_encrypted=self._flags.get(node.file_id, node.is_encrypted))
            if node.metadata_text is not None:
                raw = self._document(node.file_id, RawMetadata(node.metadata_text, node.metadata_signature))
                assert raw is not None
                twin = replace(twin, metadata_text=raw.text, metadata_signature=raw.signature)
            shown.append(twin)
        return shown

    def _answer(self, method: str, answer: Any, arguments: tuple[Any, ...]) -> Any:
        if method == "metadata":
            answer = self._document(arguments[0], answer)
            if answer is None:
                raise NotFoundError
        if method == "list_folder":
            answer = self._listing(answer)
        if method == "get_many":
            # A lie about the body of a file is told whichever way it is asked for.
            for change in self._replace["get_bytes"]:
                answer = [None if body is None else change(body) for body in answer]
        for change in self._replace[method]:
            answer = change(answer)
        if self._fail_after[method]:
            raise self._fail_after[method].pop(0)
        return answer

    async def _ask(self, method: str, *arguments: Any, **options: Any) -> Any:
        if self._fail[method]:
            raise self._fail[method].pop(0)
        if method in self._swallow:
            snapshot = self.remote.server.snapshot()
            answer = await getattr(self.remote, method)(*arguments, **options)
            locks = self.remote.server.locks
            self.remote.server.restore(snapshot)
            if method == "unlock":
                self.remote.server.locks = locks
            return self._answer(method, answer, arguments)
        return self._answer(method, await getattr(self.remote, method)(*arguments, **options), arguments)

    async def lock(self, file_id: FileId, counter: int, *, resume: LockToken | None = None) -> LockToken:
        if self._any_lock:
            self.remote.requests += 1
            return LockToken(self.remote.server.force_lock(self.remote.user, file_id, counter))
        return await self._ask("lock", file_id, counter, resume=resume)  # type: ignore[no-any-return]

    async def get(self, path: str, *, size_expected: int) -> AsyncIterator[bytes]:
        if self._fail["get"]:
            raise self._fail["get"].pop(0)
        async for piece in self.remote.get(path, size_expected=size_expected):
            data: Any = piece
            for change in self._replace["get"]:
                data = change(data)
            yield data
        if self._fail_after["get"]:
            raise self._fail_after["get"].pop(0)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.remote, name)
        if not inspect.iscoroutinefunction(method):
            return method

        async def asked(*arguments: Any, **options: Any) -> Any:
            return await self._ask(name, *arguments, **options)

        return asked
