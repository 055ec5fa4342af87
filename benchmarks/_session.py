"""A session at the app's server without a browser: what the server does, and nothing of drawing."""

from __future__ import annotations

import time
import urllib.parse

from hyperperturb.testing import Server


class Session:
    """A session at the server without a browser."""

    def __init__(self, server: Server) -> None:
        from websockets.sync.client import connect

        self._connection = connect(
            f"ws{server.url.removeprefix('http')}/_stcore/stream",
            subprotocols=["streamlit"],
            origin=server.url,
            max_size=None,
        )

    def __enter__(self) -> Session:
        self.stream = self._connection.__enter__()
        return self

    def __exit__(self, *reason: object) -> None:
        self._connection.__exit__(*reason)

    def ask(self, page: str, **address: str) -> float:
        """Ask for a page; seconds until its script has ended. Raises where the page shows an error."""
        from streamlit.proto.Alert_pb2 import Alert
        from streamlit.proto.BackMsg_pb2 import BackMsg
        from streamlit.proto.ClientState_pb2 import ClientState
        from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

        state = ClientState(query_string=urllib.parse.urlencode(address), page_name=page)
        begun = time.perf_counter()
        self.stream.send(BackMsg(rerun_script=state).SerializeToString())
        answer: list[bytes] = []
        kind, failed = None, False
        while kind != "script_finished":
            answer.append(self.stream.recv(timeout=120))
            message = ForwardMsg.FromString(answer[-1])
            kind = message.WhichOneof("type")
            if kind == "delta" and message.delta.WhichOneof("type") == "new_element":
                element = message.delta.new_element
                failed |= element.WhichOneof("type") == "exception" or (
                    element.WhichOneof("type") == "alert" and element.alert.format == Alert.ERROR
                )
        seconds = time.perf_counter() - begun
        if failed:
            raise RuntimeError(f"{page} {address} shows an error")
        wanted = address.get("gene") or address.get("genes")
        if wanted and not any(wanted.encode() in part for part in answer):
            raise RuntimeError(f"{page} did not answer about {wanted}")
        return seconds
