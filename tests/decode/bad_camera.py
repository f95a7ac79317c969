#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An RTSP camera that misbehaves on order: bad_camera.py H264 [OTHER_SIZE_H264 [HEVC]] (raw streams of 25 frames/s).

Prints its port, then serves rtsp://127.0.0.1:PORT/BEHAVIOUR[:NUMBER][+BEHAVIOUR...][/ID], over TCP or UDP as asked. The
parts between the pluses are the behaviours of one connection after another, the last one of all that follow. Every
connection plays its clip from the start, for ever. BEHAVIOUR is one of HANDSHAKES or STREAMS below. With --tell a line
is printed for each goodbye that comes.
"""
import base64
import math
import random
import socket
import struct
import sys
import threading
import time

FPS = 25
MTU = 1200
NTP_1970 = 2208988800


def nal_units(path):
    data = open(path, "rb").read()
    at, units = 0, []
    while True:
        start = data.find(b"\0\0\1", at)
        if start < 0:
            break
        end = data.find(b"\0\0\1", start + 3)
        units.append(data[start + 3:end if end >= 0 else len(data)].rstrip(b"\0"))
        at = start + 3
    return units


class Clip:
    """Access units of a raw stream, each a list of NAL units."""

    def __init__(self, path, hevc=False):
        self.hevc, self.frames, self.sets, head = hevc, [], {}, []
        for nal in nal_units(path):
            kind = nal[0] >> 1 & 63 if hevc else nal[0] & 31
            picture = kind < 32 if hevc else kind in (1, 5)
            if kind in ((32, 33, 34) if hevc else (7, 8)):
                self.sets.setdefault(kind, nal)
            if picture and nal[2 if hevc else 1] & 0x80:  # the first slice of a picture
                self.frames.append(head + [nal])
                head = []
            elif picture:
                self.frames[-1].append(nal)
            elif kind in ((32, 33, 34) if hevc else (7, 8)):
                head.append(nal)

    def sdp(self):
        sets = [base64.b64encode(self.sets[k]).decode() for k in sorted(self.sets)]
        if self.hevc:
            form = "H265/90000\r\na=fmtp:96 sprop-vps=%s;sprop-sps=%s;sprop-pps=%s" % tuple(sets)
        else:
            form = "H264/90000\r\na=fmtp:96 packetization-mode=1;sprop-parameter-sets=" + ",".join(sets)
        return ("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=cam\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"
                "m=video 0 RTP/AVP 96\r\na=rtpmap:96 %s\r\na=control:trackID=0\r\n" % form).encode()

    def payloads(self, frame):
        """RTP payloads of one access unit: RFC 6184, FU-A; RFC 7798, FU."""
        for nal in frame:
            if len(nal) <= MTU:
                yield nal
                continue
            head = 2 if self.hevc else 1
            for at in range(head, len(nal), MTU):
                flags = (0x80 if at == head else 0) | (0x40 if at + MTU >= len(nal) else 0)
                if self.hevc:
                    yield bytes([nal[0] & 0x81 | 49 << 1, nal[1], flags | nal[0] >> 1 & 63]) + nal[at:at + MTU]
                else:
                    yield bytes([nal[0] & 0xe0 | 28, flags | nal[0] & 31]) + nal[at:at + MTU]


SDP_NONSENSE = [
    b"",
    b"\xff\xfe\0\x01" * 500,
    b"v=0\r\nm=video\r\nm=\r\na=rtpmap:\r\na=fmtp:96\r\nc=IN IP4\r\n",
    b"v=0\r\nm=audio 0 RTP/AVP 0\r\na=control:a\r\n",
    b"v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 NOSUCHCODEC/90000\r\na=control:v\r\n",
    b"v=0\r\n" + b"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:v\r\n" * 300,
    b"v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/0\r\na=control:" + b"v" * 5000 + b"\r\n",
    b"v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 sprop-parameter-sets="
    + b"!!!!," * 400 + b"\r\na=control:v\r\n",
]


class Gone(Exception):
    pass


class Session:
    def __init__(self, connection):
        self.socket, self.rest, self.lock = connection, b"", threading.Lock()
        self.udp = None
        self.seq, self.ended = random.Random(1).randrange(65536), False
        self.clip = CLIPS[0]
        self.payload_type = 96
        self.deaf = False

    # ---- RTSP -------------------------------------------------------------------------------------------------

    def request(self):
        while b"\r\n\r\n" not in self.rest or self.rest[:1] == b"$":
            if self.rest[:1] == b"$" and len(self.rest) >= 4:  # the client's RTCP
                size = 4 + struct.unpack(">H", self.rest[2:4])[0]
                if len(self.rest) >= size:
                    self.rest = self.rest[size:]
                    continue
            data = self.socket.recv(65536)
            while self.deaf:
                time.sleep(1)
            if not data:
                raise Gone
            self.rest += data
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        lines = head.decode().split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
        method, url = lines[0].split(" ")[:2]
        return method, url, fields

    def reply(self, fields, code="200 OK", more="", body=b""):
        text = "RTSP/1.0 %s\r\nCSeq: %s\r\n%s" % (code, fields.get("CSeq", "1"), more)
        if body:
            text += "Content-Type: application/sdp\r\nContent-Length: %d\r\n" % len(body)
        self.write(text.encode() + b"\r\n" + body)

    def write(self, data):
        with self.lock:
            self.socket.sendall(data)

    def flood(self, head, chunk, pause=0.0):
        self.write(head)
        while True:
            self.write(chunk)
            time.sleep(pause)

    def serve(self):
        behaviour = None
        while True:
            method, url, fields = self.request()
            if behaviour is None:
                behaviour, _, number = next_behaviour(url).partition(":")
                number = int(number or 0)
                self.clip = CLIPS[2] if behaviour.endswith("hevc") else CLIPS[0]
                if behaviour in HANDSHAKES:
                    HANDSHAKES[behaviour](self, fields, number)
            if self.ended and behaviour == "expire":
                self.reply(fields, "401 Unauthorized", 'WWW-Authenticate: Basic realm="cam"\r\n')
                raise Gone
            if method == "OPTIONS":
                self.reply(fields, more="Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER\r\n")
            elif method == "DESCRIBE":
                body = SDP_NONSENSE[number % len(SDP_NONSENSE)] if behaviour == "sdp" else self.clip.sdp()
                self.reply(fields, more="Content-Base: %s/\r\n" % url, body=body)
            elif method == "SETUP":
                self.setup(fields)
            elif method == "PLAY":
                self.reply(fields, more="Session: 1;timeout=2\r\nRange: npt=0.000-\r\n")
                threading.Thread(target=self.play, args=(behaviour, number), daemon=True).start()
            elif method == "TEARDOWN":
                if TELL:
                    print(method, url, flush=True)
                self.reply(fields)
                raise Gone
            else:
                self.reply(fields)

    def setup(self, fields):
        transport = fields["Transport"].split(",")[0]
        if "client_port=" in transport:
            port = int(transport.split("client_port=")[1].split(";")[0].split("-")[0])
            self.udp = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
            for i, s in enumerate(self.udp):
                s.bind(("127.0.0.1", 0))
                s.connect(("127.0.0.1", port + i))
            transport += ";server_port=%d-%d" % tuple(s.getsockname()[1] for s in self.udp)
        self.reply(fields, more="Transport: %s\r\nSession: 1;timeout=2\r\n" % transport)

    # ---- RTP --------------------------------------------------------------------------------------------------

    def packet(self, channel, data):
        if self.udp:
            try:
                self.udp[channel].send(data)
            except ConnectionRefusedError:
                raise Gone from None
        else:
            self.write(struct.pack(">cBH", b"$", channel, len(data)) + data)

    def rtp(self, payload, stamp, marker=False):
        self.seq = self.seq + 1 & 65535
        return struct.pack(">BBHII", 0x80, self.payload_type | (marker << 7), self.seq, stamp & 0xffffffff, 7) + payload

    def sender_report(self, wall, stamp):
        ntp = int((wall + NTP_1970) * 2**32) & 2**64 - 1
        self.packet(1, struct.pack(">BBHIQIII", 0x80, 200, 6, 7, ntp, stamp & 0xffffffff, 0, 0))

    def play(self, behaviour, number):
        try:
            STREAMS[behaviour](self, number)
        except (Gone, OSError):
            pass

    def frames(self, begin=0, report=0.0, change=lambda n: None, packets=lambda n, packets: packets):
        """Play in real time; @report: how wrong the clock of the sender reports is, None: none are sent.

        That clock is up to a second slow in any case: by it frame n was taken at n/25 of a whole second."""
        start = time.time() - begin / FPS
        n, jump = begin, 0
        while True:
            time.sleep(max(0.0, start + n / FPS - time.time()))
            what = change(n)
            if what == "end":
                return
            if isinstance(what, int):
                jump = what
            stamp = 90000 // FPS * n + 123456789 + jump
            if report is not None and n % FPS == 0:
                self.sender_report(math.floor(start) + n / FPS + report, stamp)
            frame = self.clip.frames[n % len(self.clip.frames)]
            payloads = list(self.clip.payloads(frame))
            for data in packets(n, [self.rtp(p, stamp, p is payloads[-1]) for p in payloads]):
                self.packet(0, data)
            n += 1

    def hang_up(self):
        self.socket.shutdown(socket.SHUT_RDWR)


# ---- behaviours before the stream: each gets the first request --------------------------------------------------


def mute(session, fields, number):
    session.socket.recv(1)
    raise Gone


def status(session, fields, number):
    words = {401: 'WWW-Authenticate: Basic realm="cam"\r\n'}
    reasons = {401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 453: "Not Enough Bandwidth"}
    while True:
        session.reply(fields, "%d %s" % (number, reasons.get(number, "For Reasons Of Its Own")), words.get(number, ""))
        fields = session.request()[2]


def garbage(session, fields, number):
    noise = random.Random(number).randbytes(1 << 16)
    session.flood(noise, noise)


HANDSHAKES = {
    "mute": mute,
    "status": status,
    "garbage": garbage,
    "drip": lambda s, f, n: s.flood(b"", b"R", 0.1),
    "headers": lambda s, f, n: s.flood(b"RTSP/1.0 200 OK\r\n", b"X-More: of this\r\n" * 500),
    "line": lambda s, f, n: s.flood(b"", b"A" * 8192),
    "length": lambda s, f, n: s.flood(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: %d\r\n\r\n" % n, bytes(1 << 16)),
}


# ---- behaviours of the stream: NUMBER frames are good ------------------------------------------------------------


def until(number, then):
    return lambda n: then() if n == number else None


def freeze(session, number):
    session.frames(change=lambda n: "end" if n == number else None)


def deaf(session, number):
    """Says and hears nothing more, a goodbye neither, and holds on to the connection."""
    freeze(session, number)
    session.deaf = True
    session.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)


def hang_up(session, number):
    freeze(session, number)
    session.hang_up()


def say_bye(session, number):
    freeze(session, number)
    session.packet(1, struct.pack(">BBHI", 0x81, 203, 1, 7))


def expire(session, number):
    """Plays on, but the next keep-alive is answered with 401."""
    session.frames(change=until(number, lambda: setattr(session, "ended", True)))


def other_clip(session, number):
    session.frames(change=until(number, lambda: setattr(session, "clip", CLIPS[1])))


def other_codec(session, number):
    """Slices of something that is not H.264, under its payload type."""
    noise = random.Random(number)
    session.frames(packets=lambda n, packets: packets if n < number else
                   [session.rtp(b"\x41" + noise.randbytes(600), 90000 // FPS * n + 123456789, True)])


def other_type(session, number):
    session.frames(change=until(number, lambda: setattr(session, "payload_type", 97)))


def clock_step(session, number):
    """Ten years off from frame NUMBER on."""
    freeze(session, number)
    session.frames(begin=number, report=-10 * 365.25 * 86400)


def lose(session, number):
    """NUMBER of 1000 packets, the same ones each time."""
    chance = random.Random(number)
    session.frames(packets=lambda n, packets: [p for p in packets if chance.randrange(1000) >= number])


def lose_frame(session, number):
    session.frames(packets=lambda n, packets: [] if n == number else packets)


def reorder(session, number):
    """Neighbours change places, within a picture and between two."""
    held = []

    def swap(n, packets):
        queue, out = held + packets, []
        while len(queue) >= 2:
            out += [queue[1], queue[0]]
            del queue[:2]
        held[:] = queue
        return out

    session.frames(packets=swap)


def endless_frame(session, number):
    """A picture whose fragments never end."""
    freeze(session, number)
    data = bytes([0x7c, 0x81]) + bytes([0x55]) * MTU
    while True:
        session.packet(0, session.rtp(data, 1))
        data = bytes([0x7c, 0x01]) + data[2:]


def junk(session, number):
    freeze(session, number)
    session.flood(b"", random.Random(1).randbytes(1 << 16))


STREAMS = {
    "good": lambda s, n: s.frames(),
    "hevc": lambda s, n: s.frames(),
    "silent": lambda s, n: s.frames(report=None),
    "clock": lambda s, n: s.frames(report=float(n)),
    "middle": lambda s, n: s.frames(begin=n),
    "jump": lambda s, n: s.frames(change=lambda i: 0 if i < n else 1 << 30),
    "back": lambda s, n: s.frames(change=lambda i: 0 if i < n else -(1 << 30)),
    "freeze": freeze, "deaf": deaf, "eof": hang_up, "bye": say_bye, "expire": expire, "resize": other_clip,
    "codec": other_codec, "type": other_type, "step": clock_step, "lose": lose, "lose-hevc": lose, "drop": lose_frame, "reorder": reorder,
    "endless": endless_frame, "junk": junk,
}

COUNTS, COUNTS_LOCK = {}, threading.Lock()


def next_behaviour(url):
    path = url.split("://", 1)[1].split("/", 1)[1]
    with COUNTS_LOCK:
        count = COUNTS[path] = COUNTS.get(path, 0) + 1
    parts = path.split("/")[0].split("+")
    return parts[min(count, len(parts)) - 1]


def serve(connection):
    session = Session(connection)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        session.serve()
    except (Gone, OSError):
        pass
    connection.close()


TELL = "--tell" in sys.argv
CLIPS = [Clip(path, hevc=i == 2) for i, path in enumerate(arg for arg in sys.argv[1:] if arg != "--tell")]


def main():
    server = socket.create_server(("127.0.0.1", 0), backlog=64)
    print(server.getsockname()[1], flush=True)
    while True:
        connection, _ = server.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main()
