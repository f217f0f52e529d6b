"""A name to a ready primitive: a warm keystore against a bare dict, Django's locmem, redis-py and Java's getKey.

python -m benchmarks.lookup
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.support.redis_server import RedisServer

from benchmarks._timing import Row, Timing, main, measure
from strongroom.keystore.opening import open_memory

_JAVA = """
import java.io.*; import java.security.*; import java.util.*;
public class GetKey {
    public static void main(String[] a) throws Exception {
        KeyStore ks = KeyStore.getInstance("PKCS12");
        char[] p = "changeit".toCharArray();
        try (InputStream in = new FileInputStream(a[0])) { ks.load(in, p); }
        for (int i = 0; i < 200; i++) ks.getKey("aes1", p);
        double[] times = new double[25];
        for (int r = 0; r < times.length; r++) {
            long t = System.nanoTime();
            for (int i = 0; i < 10; i++) ks.getKey("aes1", p);
            times[r] = (System.nanoTime() - t) / 1e9 / 10;
        }
        Arrays.sort(times);
        System.out.println(times[0] + " " + times[times.length / 2]);
    }
}
"""


def rows() -> list[Row]:
    """The look-up row of DESIGN section 9."""
    import redis
    from django.conf import settings

    if not settings.configured:
        settings.configure(CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}})
    from django.core.cache import cache

    names = [f"keyset-{number}" for number in range(100)]
    with open_memory() as keystore, RedisServer() as server:
        for name in names:
            keystore.create(name, "fernet")
            keystore.fernet(name)
        name = names[50]
        bare = {each: keystore.fernet(each) for each in names}
        cache.set(name, b"x" * 32, timeout=None)
        client = redis.Redis.from_url(server.url)
        client.set(name, b"x" * 32)
        fernet = keystore.fernet
        ours, plain, locmem, far = measure(
            [lambda: fernet(name), lambda: bare[name], lambda: cache.get(name), lambda: client.get(name)], rounds=25
        )
        client.close()
    found = [
        Row("look-up, warm", "a bare dict look-up", ours, plain, goal=3.5, at_most=True),
        Row("look-up, warm", "Django locmem get", ours, locmem, goal=25),
        Row("look-up, warm", "redis-py GET, TCP", ours, far, goal=180),
    ]
    java = _java()
    if java is not None:
        found.append(Row("look-up, warm", "Java PKCS12 getKey", ours, java, goal=14_000))
    return found


def _java() -> Timing | None:
    """Java's KeyStore.getKey on a keystore in memory, timed by Java itself; None where there is no JDK."""
    java, keytool = shutil.which("java"), shutil.which("keytool")
    if java is None or keytool is None:
        print("bench: no JDK here: the row against Java's getKey is left out")
        return None
    with tempfile.TemporaryDirectory(prefix="sr-bench-") as directory:
        place = Path(directory)
        (place / "GetKey.java").write_text(_JAVA)
        make = [keytool, "-genseckey", "-alias", "aes1", "-keyalg", "AES", "-keysize", "256"]
        store = ["-keystore", str(place / "k.p12"), "-storepass", "changeit"]
        subprocess.run([*make, *store], check=True, capture_output=True)
        done = subprocess.run(
            [java, str(place / "GetKey.java"), str(place / "k.p12")], check=True, capture_output=True, text=True
        )
    least, median = map(float, done.stdout.split())
    return Timing(least, median)


if __name__ == "__main__":
    main(rows)
