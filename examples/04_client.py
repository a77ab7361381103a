"""Ask a server: python examples/04_client.py http://127.0.0.1:8000 photo.jpg [mask.png]"""

import json
import sys
import urllib.request
from pathlib import Path

server, photo, *mask = sys.argv[1:]
body = Path(photo).read_bytes()
asked = urllib.request.Request(f"{server.rstrip('/')}/v1/segment", body, {"Accept": "application/json"})
for row in json.load(urllib.request.urlopen(asked))["classes"]:
    print(f"{row['name']:20} {row['pixels']:10} pixels {row['share']:7.1%}")
if mask:
    asked.add_header("Accept", "image/png")
    Path(mask[0]).write_bytes(urllib.request.urlopen(asked).read())
