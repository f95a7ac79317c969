# SPDX-License-Identifier: Apache-2.0
"""TLS in front of a camera that knows none, and certificates for it, made here, which live for a day."""
import asyncio
import pathlib
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading

from daemon import PATIENCE

MADE = tempfile.TemporaryDirectory(prefix="posed-tls-")
DIR = pathlib.Path(MADE.name)


def make(*command):
    if not shutil.which(command[0]) or subprocess.run(command, stderr=subprocess.DEVNULL, cwd=DIR,
                                                      check=False).returncode:
        print(f"1..0 # SKIP {command[0]} is not there or cannot do it")
        sys.exit(77)


def certificate(name, subject):
    make("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
         "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", "/CN=camera", "-addext", f"subjectAltName={subject}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(DIR / f"{name}.pem", DIR / f"{name}.key")
    return context


class Front:
    """TLS in front of a plain port; of none: it takes connections and says nothing. One thread for all of them."""

    loop = asyncio.new_event_loop()

    def __init__(self, context, target=None):
        self.target, self.held = target, []
        server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self.serve, "127.0.0.1", 0, ssl=context), self.loop).result(PATIENCE)
        self.port = server.sockets[0].getsockname()[1]

    async def serve(self, reader, writer):
        if not self.target:
            self.held.append(writer)
            return
        back = await asyncio.open_connection("127.0.0.1", self.target)
        await asyncio.gather(self.pump(reader, back[1]), self.pump(back[0], writer), return_exceptions=True)

    async def pump(self, reader, writer):
        try:
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        finally:
            self.end(writer)

    def end(self, writer):
        writer.close()


threading.Thread(target=Front.loop.run_forever, daemon=True).start()
