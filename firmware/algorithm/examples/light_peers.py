"""Hashes for light_peers.rs by the PyPI packages `ethash` and `kawpow`: a JSON object a line in, one a line out.

{"package", "epoch", "header", "nonces"} is answered by {"seconds", "hashes": [[digest, mix], ...]}, in CPU time of this thread.
{"package", "header", "claims": [[nonce, mix], ...]} is answered by {"digests"}: what the claimed mixes give (kawpow only).
A package that is missing, or fails, is answered by {"error"}.
"""

import importlib
import json
import sys
import time


def hashes(package, request):
    # The packages' own `hash` looks the epoch up and copies the header for each nonce; the library below it is what is measured.
    below = importlib.import_module("_" + package)
    lib, ffi = below.lib, below.ffi
    context = getattr(lib, package + "_get_global_epoch_context")(request["epoch"])
    header = ffi.new(f"union {package}_hash256*")
    header[0].str = bytes.fromhex(request["header"])
    one = getattr(lib, package + "_hash")
    begin = time.thread_time()
    results = [one(context, header, nonce) for nonce in request["nonces"]]
    seconds = time.thread_time() - begin
    text = lambda value: bytes(ffi.unpack(value.str, 32)).hex()
    return {"seconds": seconds, "hashes": [[text(r.final_hash), text(r.mix_hash)] for r in results]}


def digests(package, request):
    module = importlib.import_module(package)
    header = bytes.fromhex(request["header"])
    return {"digests": [module.light_verify(header, bytes.fromhex(mix), nonce).hex() for nonce, mix in request["claims"]]}


for line in sys.stdin:
    request = json.loads(line)
    try:
        package = request["package"]
        importlib.import_module(package)
        answer = digests(package, request) if "claims" in request else hashes(package, request)
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
