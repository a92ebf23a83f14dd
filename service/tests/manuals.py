"""A few lines that write a PDF, and a server for it: what the tests fetch."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def pdf(pages: list[str]) -> bytes:
    """A PDF 1.4 whose pages hold these texts (ASCII, one line each sentence)."""
    objects = ["<< /Type /Catalog /Pages 2 0 R >>"]
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(pages)))
    objects += [f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>", "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    for number, page in enumerate(pages):
        lines = "".join(f"({line.strip()}.) Tj T* " for line in page.rstrip(".").split(".") if line.strip())
        stream = f"BT /F1 10 Tf 12 TL 40 800 Td {lines}ET"
        font = "/Resources << /Font << /F1 3 0 R >> >>"
        objects.append(f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] {font} /Contents {5 + 2 * number} 0 R >>")
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    out, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{content}\nendobj\n".encode()
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    tail = f"xref\n0 {size}\n0000000000 65535 f \n{table}trailer << /Size {size} /Root 1 0 R >>\nstartxref\n{len(out)}\n%%EOF\n"
    return out + tail.encode()


MANUAL = pdf(
    [
        "Welcome to the drum module. Read this manual before use. Keep it in a safe place.",
        "Connecting the pads. Plug the trigger cable into the module before switching it on. Use the supplied clamp for the cable.",
        "Factory reset. Hold the ENTER button while you switch the power on. Choose FACTORY RESET and press ENTER again. "
        "All kits return to their original state.",
    ]
)


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, headers, body = self.server.answers.get(self.path, (404, {}, b"no such manual"))  # type: ignore[attr-defined]
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        time.sleep(float(headers.get("X-Seconds", 0)))
        self.send_response(status)
        for name, value in {"Content-Type": "application/pdf", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(OSError):  # a worker that was killed listens no longer
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def manuals_server(answers: dict[str, tuple[int, dict[str, str], bytes]]) -> Iterator[ThreadingHTTPServer]:
    """Serve `answers` by path on a free port; `.asked` lists what was asked for."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    server.answers, server.asked = answers, []  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
