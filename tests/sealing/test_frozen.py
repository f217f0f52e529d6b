"""The vectors are what they were. A store that was written once is readable for ever, so this list only grows."""

from __future__ import annotations

import hashlib
from pathlib import Path

VECTORS = Path(__file__).parents[1] / "vectors"

FROZEN = """
ca2da0fb09e7d964349c2d99f5cff3df2bc50729bf2b8aa7d1ffdd53ddf0e0ff  backup-1/store.backup
71f0ce6e6e4fbffbf6a73f99516c371f17347213d8cb0d002516dabfc64e5046  backup-1/store.checkpoint
137ccfd54b0a64d927a1b335b9cc527f94ab8e1a2825a68f05865c73777e066b  format-1/identities/hpke-protected.json
665d2efd756cf06d70b1933daeedb261bdecf78b260557c64a350fda553fee1d  format-1/identities/hpke.json
f8a8a900f749798f235d51ce4161cb2a87a6a4bb576ad08d5f79bcc4fd4e7a77  format-1/identities/openpgp.json
511a31ef883e301547b7106551b5ba04fc2d4a6690cc04fb2b8492a1343394e3  format-1/identities/rsa.json
dec291c2363d74b3b848537af8125d7312e8a5c1bd242b3d25f0a037f5d37fe6  format-1/identities/rsa.pem
546da08fc5084a023d03cef407aa6ab5fff1b205d3221d45ef162e8bb888cf38  format-1/identities/worker.json
895c98b7cf6461e5466ff1c00072a96fce0ac3d150b2c08d630b105f5c15b41a  format-1/rotated/keysets/fernet.json
e6763b9baee76f8643d13cb7e56359ed98a6794d9e685f9526296c4a81ed6335  format-1/rotated/keysets/secret.json
02d44f66de51d230968ad685546945323479b5fb122eef5ad4cbd9475d3251ec  format-1/rotated/store.json
d16bd0fba4c38f4e3bc58dd7baad385ea7185e475255da94b907728eabfe03c9  format-1/store/keysets/aes256-gcm.json
3c332bf6270e5bf9021cdaf5c1f7fef82450d808f1ded9ae74451d85fbc267b9  format-1/store/keysets/ecdsa-p256.json
5d628cd0d1dfd577b0911ba42a65e3c8c15de4e171bb8964f3b5cc409c6dcf75  format-1/store/keysets/ed25519.json
895c98b7cf6461e5466ff1c00072a96fce0ac3d150b2c08d630b105f5c15b41a  format-1/store/keysets/fernet.json
d18f5f724128d0addfeffa95789b0cdf91516fd96fc17c87075513f61a8a1f2f  format-1/store/keysets/hmac-sha256.json
60dd3308d38ecf9f6fdb4a99ef395abad0a9da3f3759473782413a17dc85b334  format-1/store/keysets/mlkem768-x25519.json
f36f9d3e9e15d080ba8c788a4f38d166b3974fe59fcf4e19f196706cbe41259c  format-1/store/keysets/registrar/student-records.json
32085ea62d40c8f598be15d60f7502eef2266fea75a3d9fc4e939d73dfb5371b  format-1/store/keysets/rsa-2048-encrypt.json
8224eb9b4963d0f496fa91011763afeed9c2bf09c03de726706e1fc2a901e36b  format-1/store/keysets/rsa-2048-sign.json
931445cbabf1402e2ec28bf808054493528b57a90e85eded1876e69a35f24c2c  format-1/store/keysets/secret.json
cfaabeff3a0207a9932c1718db5f0041f97febc1697991c53d1e001906f943b0  format-1/store/keysets/x25519.json
dcd43b98e067ec455f8f96a7b1a7d5396420320b07d2b35729634ea33c830596  format-1/store/keysets/xaes256-gcm.json
246b85f114084180b19a9311823ae3328624ff8077339f6a60d088968df7e272  format-1/store/store.json
16a4a95d430e48738f9154982a7121d33225dbb9cbd568cced954ec0dc2bf849  format-1/values.json
c5baa7d4436c52fa264acebbfb14711cdd5390907594be94b05386fd2556179b  format-2/store/keysets/doomed-whole.json
911de0ff3b71bf2f6751ae26ee899e83af7fe9f504ec89af77fd1d3ae86d5ced  format-2/store/keysets/doomed.json
710b78674f7725e041bd2dd65b06f14dd296fc69440035fa63604b707a6e4c02  format-2/store/keysets/limit.json
aca96fe5ba7b9635b36e8c65099a5ae17dc7a9352d141ae080efffb0a97c5663  format-2/store/keysets/periods.json
8332e96580ac4af8af508607051a0daa2ff41c6ef5a412b5f251deca7e562f5b  format-2/store/keysets/plain.json
02482371e2199227b44bfff858bc0055c7bfc0d1d4ab1417745498628079a106  format-2/store/keysets/read-only.json
5186fa0381e6f909a3755e1787215f18782be3b950d84717209217dc48102768  format-2/store/keysets/write-only.json
245144ce4c0b018c0993dbf8fbecce36c2311504e6ea080203a2069b6f3d3762  format-2/store/store.json
b447ef2711e6ce5b1d725f8ecdea9f1f53d05c1c0780be001695305cebd33477  format-2/values.json
1f2d704adbf36dd1dd500e58f938900803712d2339c0f1617e16b6062f2f776e  recovery-1/shares.json
8c6d8ec919aa723e81f222ca06c2b8bd6c2654c8caf17f20697bf2d832750558  store-0.1/expected.json
7f0dc62b7bd3e768c571bb56c1ff397a02aae27ba38e79e976db81665f8fc8e1  store-0.1/store/.gitattributes
c3798294a1b9a1a86795cdf9a489d1dbaed2efb863116617e20ef738e34f5a16  store-0.1/store/.gitignore
dd1a3c8e416bf908179cc045ef90f01f6eeb1c7af11cfd10c617c9476b2718f9  store-0.1/store/keysets/vectors/aes256-gcm.json
0dce9cd9cf8c8ed204a13b81c421e7efac029e769427b7bb0e99884cc0b75ba4  store-0.1/store/keysets/vectors/ecdsa-p256.json
cbe65842d030e23063ffcd45b72b0bf72d4a7bd735549bc5c9927004c291eca0  store-0.1/store/keysets/vectors/ed25519.json
8430396182eeb69ce739bcf5eb5b7d386ae23b23f782ddcae5e6da36a61abcf1  store-0.1/store/keysets/vectors/fernet.json
f9a81fb3975c21f731ffa310455594c7c92647022da1d9c3473bddca5c842c49  store-0.1/store/keysets/vectors/history.json
8cce4fbe95a0b559242487e505d222591eb27210a67c82e34fdef1c0bc017eb9  store-0.1/store/keysets/vectors/mac.json
a08a7f87317d3f319098f1c062f0d58871d0daf0c25d1ac379b7c51c5ec5b05a  store-0.1/store/keysets/vectors/mlkem768-x25519.json
a944cf01a345eca1828d03251270f3fe77dcafe279736c21cd0d6d46d2e68d04  store-0.1/store/keysets/vectors/rsa-encrypt.json
7604a39f5372f7591e6d24fd3015df19f19bd2026c0908593c5a5750ecdcf71a  store-0.1/store/keysets/vectors/rsa-sign.json
7dbad34f7a41d038ab5de40ba5612faf68a4f2038dcd7128bb0ab9be6d2c0ced  store-0.1/store/keysets/vectors/secret.json
6b6a51665e106a7b0002ed2e3c9d46230363a6bc9bf387982b21f3c8395d08f9  store-0.1/store/keysets/vectors/x25519.json
4a2cb364bb20e3734137c8533734f994380fd1fc146239dba257fb5ea8bcd4e1  store-0.1/store/keysets/vectors/xaes256-gcm.json
94ca88a218576dbd7ef703ef29dcb3d1c2c6c8320bbc778d0de60ff25ea4091b  store-0.1/store/root.1.gpg
680db94a8b6ddd179641ce71343012ddfa0986300736ee230228feaf6fe21b3d  store-0.1/store/store.json
"""


def frozen() -> dict[str, str]:
    return {line[66:]: line[:64] for line in FROZEN.strip().splitlines()}


def present() -> dict[str, str]:
    files = (path for path in VECTORS.rglob("*") if path.is_file() and path != VECTORS / "README.md")
    return {path.relative_to(VECTORS).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_every_vector_is_listed_and_every_listed_one_is_there() -> None:
    assert sorted(present()) == sorted(frozen())


def test_no_vector_was_edited() -> None:
    assert {name: digest for name, digest in present().items() if frozen().get(name) != digest} == {}
