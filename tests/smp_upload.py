"""Prints, in hex, every byte that smpclient sends to upload an image over a serial port.

Only the port is replaced: each request is answered as a server does. Arguments: the image, and the server's buffer in
bytes, which a client normally asks for.
"""

import asyncio
import sys

import cbor2
from smpclient import SMPClient
from smpclient.transport.serial import BufferSize, SMPSerialTransport


class Port(SMPSerialTransport):
    """The client's own transport, with a server in the place of its port."""

    def __init__(self, size):
        super().__init__(BufferSize(size))
        self.sent = []
        self._conn.write = self.sent.append

    async def _drain_tx(self):
        pass

    async def send(self, data):
        self.request = data
        await super().send(data)

    async def receive(self):
        body = cbor2.loads(self.request[8:])
        answer = cbor2.dumps({"rc": 0, "off": body["off"] + len(body["data"])})
        return bytes([3, 0]) + len(answer).to_bytes(2, "big") + self.request[4:8] + answer


async def main():
    with open(sys.argv[1], "rb") as file:
        image = file.read()
    port = Port(int(sys.argv[2]))
    async for _ in SMPClient(port, "").upload(image):
        pass
    print(b"".join(port.sent).hex())


asyncio.run(main())
