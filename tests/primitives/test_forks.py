"""Four children of one process, and the process itself, draw from the same key objects: nothing random repeats."""

from __future__ import annotations

import json
import subprocess
import sys

_SCRIPT = """
import base64, json, os, sys
from strongroom.primitives import hpke, rsa
from strongroom.primitives.aead import AesGcmKey, XAesGcmKey
from strongroom.primitives.jwe import JwePrivate, JwePublic
from strongroom.primitives.mac import HmacSha256Key
from strongroom.primitives.secret import SecretBytes
from strongroom.primitives.signing import Ed25519Private, RsaPssPrivate, RsaPssPublic
from strongroom.primitives.wrapping import unwrap, wrap

key = SecretBytes(bytes(range(32)))
gcm, xgcm, mac, signer = AesGcmKey(key, b""), XAesGcmKey(key, b""), HmacSha256Key(key, b""), Ed25519Private(key, b"")
private = hpke.HpkePrivate("x25519", key)
public = hpke.HpkePublic("x25519", hpke.public_of("x25519", key))
material = rsa.generate(2048)
spki = rsa.public_der(rsa.load_sealed(material))
pss, pss_public = RsaPssPrivate(material, b""), RsaPssPublic(spki, b"")
jwe, jwe_private = JwePublic(spki, "k"), JwePrivate(material)

def drawn():
    sealed, wide, envelope = gcm.encrypt(b"m", b"a"), xgcm.encrypt(b"m", b"a"), wrap(key, key, context=b"c")
    message, token, signature = public.encrypt(b"m", b""), jwe.encrypt(b"m"), pss.sign(b"m")
    # and each still opens what it made
    assert gcm.decrypt(sealed, b"a") == xgcm.decrypt(wide, b"a") == private.decrypt(message, b"") == b"m"
    assert jwe_private.decrypt(token) == b"m" and unwrap(key, envelope, context=b"c") == key
    pss_public.verify(signature, b"m")
    parts = token.split(b".")
    values = [sealed[:12], wide[:24], envelope[:32], message[:32], parts[1], parts[2], signature]
    return [base64.b64encode(value).decode() for value in values]

before = drawn()  # what was used before the fork is what children inherit
steady = (mac.compute(b"m").hex(), signer.sign(b"m").hex())
pipes = []
for _ in range(4):
    read, write = os.pipe()
    if os.fork() == 0:
        assert (mac.compute(b"m").hex(), signer.sign(b"m").hex()) == steady
        os.write(write, json.dumps([drawn() for _ in range(8)]).encode())
        os._exit(0)
    os.close(write)
    pipes.append(read)
rows = [before, *(drawn() for _ in range(8))]
for read in pipes:
    with os.fdopen(read, "rb") as pipe:
        rows.extend(json.loads(pipe.read()))
    assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
json.dump(rows, sys.stdout)
"""


def test_children_draw_other_ivs_salts_and_ephemeral_keys() -> None:
    done = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    rows = json.loads(done.stdout)
    assert len(rows) == 1 + 8 + 4 * 8
    for drawn in zip(*rows, strict=True):
        assert len(set(drawn)) == len(rows)
