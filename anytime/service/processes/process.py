"""One of several processes: a whole service without a port. ``python -m`` this, by the supervisor only."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from types import FrameType

from anytime.service.app import Service
from anytime.service.processes.doorway import Doorway
from anytime.service.processes.line import Count, Counted, Held, Leaving, Line, Ready, Sum, Summed
from anytime.service.processes.share import settings_from
from anytime.service.processes.totals import families
from anytime.service.server import Server, set_up_process
from anytime.service.settings import Settings

log = logging.getLogger(__name__)


class PortlessServer(Server):
    """Takes connections from the supervisor, tells it what it holds and has counted, and ends when it is gone."""

    def __init__(self, settings: Settings, door: socket.socket, line: socket.socket) -> None:
        service = Service(settings, self._of_all)
        super().__init__(settings, service, on_lost=self._lost)
        self._doorway = Doorway(door, self._protocol, self._report, self._abandoned)
        self._line_socket = line
        self._waiting: dict[int, asyncio.Future[str]] = {}
        self._asked = 0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._line = await Line.over(self._line_socket)
        self._hearing = asyncio.create_task(self._hear())
        await super().startup([])
        self._doorway.open()

    def tell_ready(self) -> None:
        self._line.send(Ready())

    def stop_accepting(self) -> None:
        self._doorway.close()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._line.send(Leaving())
        await super().shutdown([])
        self._hearing.cancel()
        await asyncio.gather(self._hearing, return_exceptions=True)
        self._line.close()

    def _protocol(self) -> asyncio.Protocol:
        """As uvicorn makes one for each connection that it accepts itself."""
        return self.config.http_protocol_class(  # type: ignore[call-arg]  # as uvicorn types it
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
            _loop=asyncio.get_running_loop(),
        )

    def _lost(self) -> None:
        self._doorway.ended()

    def _report(self, held: Held) -> None:
        self._line.send(held)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """As uvicorn's; but two signals that come at once are told in the order of their numbers, SIGINT first."""
        super().handle_exit(sig, frame)
        if len(self._captured_signals) > 1 and signal.SIGINT in self._captured_signals:
            self.force_exit = True

    def _abandoned(self) -> None:
        if not self.should_exit:
            log.error("the supervisor is gone: draining")
            self.should_exit = True

    async def _of_all(self) -> bytes:
        """The metrics of all processes; of this one alone where the supervisor is gone or cannot add them up."""
        text = "" if self._hearing.done() else await self._asked_for()
        return text.encode() if text else await self._service.own_exposition()

    def _asked_for(self) -> asyncio.Future[str]:
        self._asked += 1
        answer = self._waiting[self._asked] = asyncio.get_running_loop().create_future()
        self._line.send(Sum(self._asked))
        return answer

    async def _hear(self) -> None:
        """Ends with the supervisor's end of the line."""
        try:
            while (message := await self._line.receive()) is not None:
                if isinstance(message, Count):
                    counted = await asyncio.to_thread(families, self._service.metrics.registry)
                    self._line.send(Counted(message.number, counted))
                elif isinstance(message, Summed):
                    self._answer(message.number, message.text)
        finally:
            for number in list(self._waiting):
                self._answer(number, "")

    def _answer(self, number: int, text: str) -> None:
        answer = self._waiting.pop(number)
        if not answer.done():  # who asked may have left
            answer.set_result(text)


def main() -> None:
    """``process.py DOOR LINE``: numbers of open files; the settings come on standard input as JSON."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # before and after it serves: an end, and no traceback
    door, line = (socket.socket(fileno=int(number)) for number in sys.argv[1:])
    settings = settings_from(sys.stdin.read())
    set_up_process(settings)
    server = PortlessServer(settings, door, line)
    server.run()
    sys.exit(server.leave())


if __name__ == "__main__":
    main()
