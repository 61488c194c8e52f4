#!/usr/bin/env python3
"""A Logdock client in Python, written from docs/protocol.md alone: proof that the page is enough. Needs pyserial.

    logdock.py [--port NAME] info | settings | set [GROUP/]NAME=VALUE ... | update FILE.bin"""

import argparse
import contextlib
import pathlib
import struct
import sys
import time
import zlib
import serial
from serial.tools import list_ports

USB_ID, BAUD, BOOTLOADER, APPLICATION = (0x1209, 0x0001), 115200, 0, 1
HELLO, INFO, BEGIN, DATA, FINISH, INSTALL, REBOOT, CONFIRM = 0, 1, 2, 3, 4, 6, 7, 8
COMMON, LOGGER, DESCRIBE, WRITE, REFUSED, WRONG_OFFSET, NO_SUCH_SETTING = 0, 1, 0, 1, 0, 5, 11
REFUSALS = ("unknown request,damaged frame,unsupported version,hello first,no upload,wrong offset,image,memory,"
            "nothing staged,an update is on trial,another image runs,no such setting,setting,another log,impossible time").split(",")
DETAILS = {6: "not an image,truncated,unsupported header,bad trailer,incomplete,too large,bad vectors,other hardware,"
              "security counter too low,bad digest,signed with another key,bad signature".split(","),
           7: "the NAND does not answer,no good block,unreadable,write failed".split(","),
           12: "unknown,wrong kind,too low,too high,too long,not printable,no room".split(",")}
PHASES, OUTCOMES = "idle pending installing trial reverting".split(), "none installed refused reverted unreadable".split()
TOGGLE, NUMBER, CHOICE, TEXT, TIME = range(5)


class LogdockError(Exception):
    """What went wrong, in words."""


class Refused(LogdockError):
    """The logger said no, and changed nothing."""
    def __init__(self, fields):
        self.number = fields.varint()
        self.expected = fields.varint() if self.number == WRONG_OFFSET else None
        text = "refused: " + dict(enumerate(REFUSALS)).get(self.number, f"reason {self.number}")
        text += f" {fields.varint()}" if self.number == 12 else ""
        super().__init__(text + (f": {DETAILS[self.number][fields.varint()]}" if self.number in DETAILS else ""))


def varint(number):
    return bytes([number]) if number < 0x80 else bytes([number & 0x7F | 0x80]) + varint(number >> 7)


def blob(data):
    return varint(len(data)) + data


class Fields:
    """Takes a message apart, field after field."""
    def __init__(self, data):
        self.data = data

    def varint(self):
        length = next(at for at, byte in enumerate(self.data) if byte < 0x80) + 1
        groups, self.data = self.data[:length], self.data[length:]
        return sum((byte & 0x7F) << 7 * at for at, byte in enumerate(groups))

    def zigzag(self):
        number = self.varint()
        return number >> 1 ^ -(number & 1)

    def blob(self):
        length = self.varint()
        data, self.data = self.data[:length], self.data[length:]
        return data

    text = lambda self: self.blob().decode()


def encode(packet):
    """A packet as a frame: CRC, COBS, zero."""
    rest, out = packet + struct.pack("<I", zlib.crc32(packet)), bytearray()
    for run in rest.split(b"\0"):
        while len(run) >= 254:
            out, run = out + b"\xff" + run[:254], run[254:]
        out += bytes([len(run) + 1]) + run
    return bytes(out) + b"\0"


def decode(frame):
    """The packet of a frame without its zero; None when it is damaged."""
    out, at = bytearray(), 0
    while at < len(frame):
        code = frame[at]
        run = frame[at + 1:at + code]
        if code == 0 or len(run) != code - 1:
            return None
        at += code
        out += run + (b"\0" if code < 255 and at < len(frame) else b"")
    packet, crc = bytes(out[:-4]), bytes(out[-4:])
    return packet if len(out) > 4 and struct.pack("<I", zlib.crc32(packet)) == crc else None


class Logger:
    """A logger at a port, greeted."""
    def __init__(self, port):
        self.name, self.sequence, self.buffer = port, 0, b""
        self.open()

    def open(self):
        self.port = serial.Serial(self.name, BAUD, timeout=0.05, write_timeout=5)
        self.buffer = b""
        self.port.write(b"\0")
        hello = self.ask(COMMON, HELLO, bytes([1, 1]), expect=1)
        self.version, self.program, self.max_data, self.window = (hello.varint() for _ in range(4))

    def post(self, group, number, fields=b""):
        self.sequence = self.sequence % 0xFFFF + 1
        self.port.write(encode(varint(self.sequence) + bytes([group, number]) + fields))
        return self.sequence

    def answer(self, timeout):
        """The next answer: sequence, group, number, fields; None when none came."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            frame, zero, rest = self.buffer.partition(b"\0")
            if not zero:
                self.buffer += self.port.read(max(1, self.port.in_waiting))
                continue
            self.buffer = rest
            if packet := decode(frame):
                fields = Fields(packet)
                return fields.varint(), fields.varint(), fields.varint(), fields
        return None

    def ask(self, group, number, fields=b"", expect=4, timeout=1.5, allow=None):
        """The answer's fields; None when the logger refuses for the reason that is allowed."""
        for _ in range(4):
            sequence = self.post(group, number, fields)
            while answer := self.answer(timeout):
                answered, *kind, rest = answer
                if answered in (sequence, 0) and kind == [COMMON, REFUSED]:
                    if (refused := Refused(rest)).number == allow:
                        return None
                    raise refused
                if answered == sequence and kind[1] == expect:
                    return rest
        raise LogdockError("the logger does not answer")

    def info(self):
        fields = self.ask(COMMON, INFO, expect=2)
        model, facts = fields.text(), fields.blob()
        image = lambda at: {"version": version(facts[at:at + 8]), "digest": facts[at + 8:at + 40],
                            "length": struct.unpack_from("<I", facts, at + 40)[0]} if any(facts[at + 40:at + 44]) else None
        return {"model": model, "serial": facts[:12].hex().upper(), "bootloader": version(facts[76:84]),
                "program": ["bootloader (update mode)", "application"][self.program], "direct": bool(facts[98]),
                "slot size": struct.unpack_from("<I", facts, 88)[0], "phase": PHASES[facts[99]],
                "outcome": OUTCOMES[facts[101]], "running": image(111), "previous": image(155), "staged": image(199)}

    def settings(self):
        found = []
        for index in range(256):
            fields = self.ask(LOGGER, DESCRIBE, bytes([index]), expect=0, allow=NO_SUCH_SETTING)
            if not fields:
                return found
            setting = {"id": fields.varint(), "group": fields.text(), "name": fields.text(), "help": fields.text()}
            kind = setting["kind"] = fields.varint()
            number, text = fields.zigzag, fields.text
            shape = {TOGGLE: {"default": fields.varint},
                     NUMBER: {"min": number, "max": number, "default": number, "decimals": fields.varint, "unit": text},
                     CHOICE: {"options": text, "default": fields.varint},
                     TEXT: {"max_length": fields.varint, "default": text}}.get(kind, {})
            setting.update((name, read()) for name, read in shape.items())
            assert fields.varint() == kind, "a value of its own kind"
            setting["value"] = {NUMBER: number, TEXT: text}.get(kind, fields.varint)()
            found.append(setting)
        return found

    def write(self, changes):
        """All of [(setting, value)], or none."""
        values = b""
        for setting, value in changes:
            encoded = {NUMBER: lambda: varint(value << 1 if value >= 0 else -2 * value - 1),
                       TEXT: lambda: blob(value.encode())}.get(setting["kind"], lambda: varint(value))()
            values += varint(setting["id"]) + bytes([setting["kind"]]) + encoded
        self.ask(LOGGER, WRITE, blob(values))

    def update(self, image, progress):
        digest, tlvs = image_parts(image)
        direct = self.info()["direct"]
        if direct and self.program == APPLICATION:
            self.ask(COMMON, INSTALL)
            self.restart()
        begin = blob(digest) + varint(len(image))
        kept = sent = self.ask(COMMON, BEGIN, begin, expect=3, timeout=6).varint()
        for offset, part in [(0, image[:0x108]), (tlvs, image[tlvs:])] if direct and kept == 0 else []:
            self.ask(COMMON, DATA, varint(offset) + blob(part), expect=3, allow=WRONG_OFFSET)
        while kept < len(image):
            while sent < len(image) and sent - kept < self.window:
                self.post(COMMON, DATA, varint(sent) + blob(image[sent:sent + self.max_data]))
                sent = min(sent + self.max_data, len(image))
            answer = self.answer(1.5)
            if answer and answer[1:3] == (COMMON, 3):
                kept = max(kept, answer[3].varint())
                progress(kept, len(image))
            elif answer and answer[1:3] == (COMMON, REFUSED) and (refused := Refused(answer[3])).number > 1:
                if refused.number != WRONG_OFFSET:
                    raise refused
                while self.answer(0.06):
                    pass
                kept = sent = refused.expected
            elif not answer:
                kept = sent = self.ask(COMMON, BEGIN, begin, expect=3, timeout=6).varint()
        self.ask(COMMON, FINISH, timeout=6)
        self.ask(COMMON, INSTALL)
        self.restart()
        info = self.info()
        if self.program == BOOTLOADER or not info["running"] or info["running"]["digest"] != digest:
            raise LogdockError(f"not installed: {info['outcome']}")
        self.ask(COMMON, CONFIRM, blob(digest))
        return info["running"]["version"]

    def restart(self, timeout=30):
        """Restarts the logger and waits until it is there again."""
        with contextlib.suppress(OSError):  # The answer may be lost with the port.
            self.ask(COMMON, REBOOT)
        self.port.close()
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            time.sleep(0.3)
            with contextlib.suppress(OSError, LogdockError):
                return self.open()
        raise LogdockError("the logger did not come back")


def version(data):
    major, minor, revision, build = struct.unpack("<BBHI", data)
    return f"{major}.{minor}.{revision}" + (f"+{build}" if build else "")


def image_parts(image):
    """The SHA-256 in an MCUboot image's TLVs, and where those begin, the protected ones first."""
    if image[:4] == bytes.fromhex("3db8f396") and len(image) > 32:
        header, protected, payload = struct.unpack_from("<HHI", image, 8)
        at, size = header + payload + protected, 0
        while (at := at + 4 + size) + 36 <= len(image):
            kind, size = struct.unpack_from("<HH", image, at)
            if (kind, size) == (0x10, 32):
                return image[at + 4:at + 36], header + payload
    raise LogdockError("the file is not a signed firmware image in binary form")


def shown(setting):
    value, kind = setting["value"], setting["kind"]
    if kind == NUMBER:
        return f"{value / 10 ** setting['decimals']:.{setting['decimals']}f} {setting['unit']}".strip()
    return ["off", "on"][value] if kind == TOGGLE else setting["options"].split("\n")[value] if kind == CHOICE else str(value)


def meant(setting, text):
    kind = setting["kind"]
    try:
        if kind == NUMBER:
            return round(float(text) * 10 ** setting["decimals"])
        options = ["off", "on"] if kind == TOGGLE else setting.get("options", "").split("\n")
        return options.index(text) if kind in (TOGGLE, CHOICE) else int(text) if kind == TIME else text
    except ValueError:
        raise LogdockError(f"{setting['name']} cannot be {text!r}") from None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port")
    parser.add_argument("command", choices=["info", "settings", "set", "update"])
    parser.add_argument("arguments", nargs="*")
    options = parser.parse_args()
    ports = [port.device for port in list_ports.comports() if (port.vid, port.pid) == USB_ID]
    if not options.port and len(ports) != 1:
        raise LogdockError(f"{len(ports)} loggers found: {', '.join(ports) or 'plug one in'}; name one with --port")
    logger = Logger(options.port or ports[0])
    if options.command == "info":
        for name, value in logger.info().items():
            print(f"{name}: {value['version'] + ' ' + value['digest'].hex() if isinstance(value, dict) else value}")
    elif options.command == "update":
        image = pathlib.Path(options.arguments[0]).read_bytes()
        print("runs", logger.update(image, lambda kept, total: print(f"sent {kept} of {total}", file=sys.stderr)))
    else:
        settings = logger.settings()
        changes = []
        for name, _, text in (argument.partition("=") for argument in options.arguments):
            fitting = [each for each in settings if name in (each["name"], f"{each['group']}/{each['name']}")]
            if len(fitting) != 1:
                raise LogdockError(f"{len(fitting)} settings are called {name!r}")
            changes.append((fitting[0], meant(fitting[0], text)))
        if changes:
            logger.write(changes)
            settings = logger.settings()
        for setting in settings:
            print(f"{setting['group']}/{setting['name']}: {shown(setting)}")


if __name__ == "__main__":
    try:
        main()
    except (LogdockError, OSError) as error:
        sys.exit(f"logdock: {error}")
