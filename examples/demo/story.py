"""The story: twelve steps, each with what was typed, what came of it, and what must be true of it."""

from __future__ import annotations

import json
import os
import shutil
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from examples.demo import lying, search
from examples.demo.site import Redis, Site, environment_of
from examples.demo.stage import Stage, UntrueError
from strongroom._encoding import b64decode
from strongroom.blackbox import Repository
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.opening import open_store
from strongroom.openpgp.discovery import find_engine

REGISTRAR = Path(__file__).resolve().parent.parent / "registrar"
RECORDS = "student-records"
FILES = "student-files"
CERTIFICATE = "Registered under 1815/12/10-Byron"
PROPAGATION_S = 6
# Numbers that are issued to nobody: the first is the famous one of a wallet's sample card.
STUDENTS = {"Ada Lovelace": "078-05-1120", "Alan Turing": "987-65-4321", "Grace Hopper": "987-65-4325"}
LATECOMERS = {"Edsger Dijkstra": "987-65-4328", "Barbara Liskov": "987-65-4329"}

# The loop of blackbox_postdeploy, as the original script has it.
POSTDEPLOY = """\
while IFS= read <&99 -r name; do
        gpg --use-agent -q --decrypt --yes -o "$name" "$name.gpg" && echo "EXTRACTED $name"
      done 99<.blackbox/blackbox-files.txt"""


class Story:
    """Everything that happens, in its order."""

    def __init__(self, stage: Stage, *, redis: bool = True) -> None:
        self.stage = stage
        self.wants_redis = redis
        self.plaintexts = search.Plaintexts()
        for name, number in {**STUDENTS, **LATECOMERS}.items():
            self.plaintexts.add(f"the number of {name}", number.encode())
            self.plaintexts.add(f"the number of {name}", number.replace("-", "").encode())
        self.password = urlsafe_b64encode(os.urandom(24)).decode()
        self.plaintexts.add("the database password", self.password.encode())
        self.plaintexts.add("the uploaded document", CERTIFICATE.encode())
        self.origin = stage.place / "registrar.git"
        self.data = lying.Data(stage.place / "data")

    def tell(self) -> None:
        """All steps."""
        self.redis = Redis(self.stage, wanted=self.wants_redis)
        self.two_people_and_a_repository()
        self.a_store()
        self.keys()
        self.a_role_account()
        self.the_site()
        self.the_main_job()
        self.a_look_up_and_a_document()
        self.a_signature()
        self.a_rotation()
        self.a_second_admin()
        self.the_original_postdeploy()
        self.the_search()

    def two_people_and_a_repository(self) -> None:
        """Keys, git, BlackBox, and one registered file."""
        stage = self.stage
        stage.step("Two people, and a git repository in BlackBox's layout")
        self.alice, self.bob = stage.person("alice"), stage.person("bob")
        self.alice.makes_a_key()
        self.bobs_fingerprint = self.bob.makes_a_key()
        self.alice.quietly("git", "init", "--quiet", "--bare", "--initial-branch=main", str(self.origin))
        self.alice.types(f"git clone --quiet {self.origin} registrar", lines=0)
        work = self.alice.directory = self.alice.home / "registrar"
        shutil.copytree(REGISTRAR, work, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        declared = work / "strongroom.toml"
        wait = f'propagation = "{PROPAGATION_S}s"\n'  # a day is the rule; nobody would watch that long
        declared.write_text(declared.read_text().replace(f"[keysets.{RECORDS}]\n", f"[keysets.{RECORDS}]\n{wait}"))
        engine = find_engine(environ=self.alice.environ)
        try:
            (me,) = engine.secret_keys()
            repository = Repository.create(
                work, admin=me, label="alice@example.org", engine=engine, environ=self.alice.environ
            )
            (work / "config").mkdir()
            (work / "config" / "database.yml").write_text(f"password: {self.password}\n")
            stage.say('alice > Repository.create(…); repository.register("config/database.yml")')
            repository.register("config/database.yml", approved=[me.fingerprint])
        finally:
            engine.close()
        stage.check((work / "config" / "database.yml.gpg").is_file(), "config/database.yml.gpg is there")
        stage.check(not (work / "config" / "database.yml").exists(), "its plaintext is gone from the work tree")
        shown = self.alice.types("strongroom blackbox cat config/database.yml", lines=0)
        stage.check(shown == f"password: {self.password}\n", "Alice reads it in memory (not shown here)")

    def a_store(self) -> None:
        """A root, sealed to Alice."""
        stage = self.stage
        stage.step("A store in it, sealed to Alice")
        self.alice.types("strongroom init", lines=12)
        self.store = self.alice.directory / ".strongroom"
        files = (self.alice.directory / ".blackbox" / "blackbox-files.txt").read_text()
        stage.check("root.1" not in files, "the root file is not on BlackBox's list of files")
        self.pin = self.alice.types("strongroom pin").strip()
        line = self.alice.quietly("gpg", "--batch", "--quiet", "--decrypt", str(self.store / "root.1.gpg"))
        self.plaintexts.add("the root key", b64decode(line.split()[-1].decode()))
        stage.check(line.startswith(b"strongroom/1 root "), "plain 'gpg -d' opens the root file (not shown here)")

    def keys(self) -> None:
        """What strongroom.toml names."""
        stage = self.stage
        stage.step("The keys that strongroom.toml names")
        self.alice.types("strongroom ensure")
        again = self.alice.types("strongroom ensure")
        stage.check("nothing is missing" in again, "asking again changes nothing")
        told = json.loads(self.alice.types("strongroom list --json", lines=0))
        kinds = {each["name"]: each["type"] for each in told}
        stage.check(
            len(kinds) == 8 and (kinds[RECORDS], kinds[FILES]) == ("fernet", "aes256-gcm"),
            ", ".join(f"{name} is {kind}" for name, kind in sorted(kinds.items())),
        )

    def a_role_account(self) -> None:
        """A machine's key: one file."""
        stage = self.stage
        stage.step("A role account for the web host: one file that opens the store with no prompt")
        self.web = stage.person("web")
        identity = self.web.home / "web-deploy.identity"
        self.alice.types(f"strongroom role create web-deploy --out {identity}")
        stage.check(identity.stat().st_mode & 0o777 == 0o600, "the identity file has mode 0600")
        self._shares("A site, a store and a role account")
        self.web.types(f"git clone --quiet {self.origin} registrar", lines=0)
        self.web.directory = self.web.home / "registrar"
        del self.web.environ["GNUPGHOME"]  # it has no keyring, neither its own nor anybody else's
        self.web.types("strongroom list", exits=3)
        stage.check(True, "without the identity file it cannot open the store (exit status 3)")
        self.web.environ |= {"STRONGROOM_IDENTITY_FILE": str(identity), "STRONGROOM_PIN": self.pin}
        self.web.types("strongroom list")

    def the_site(self) -> None:
        """The example site, as the role account."""
        stage = self.stage
        stage.step("The site runs as the role account")
        self.data.place.mkdir(mode=0o700)
        self.web.environ |= {"REGISTRAR_DATA": str(self.data.place)}
        if self.redis:
            self.web.environ |= {"REGISTRAR_REDIS": self.redis.url}
            stage.say(f"its cache is a real Redis, {self.redis.url}")
        else:
            stage.say("its cache is in its own memory: there is no redis-server here")
        self.web.types("python manage.py migrate --verbosity 0")
        printed = self.web.types("python manage.py check --deploy", lines=0)
        stage.check("strongroom." not in printed, "'check --deploy' has nothing to say about the keys")
        self.site = Site(stage, self.web)
        stage.check(self.site.tells("/health/") == {"version": 1}, "it answers, and version 1 of its key protects")
        shown = environment_of(self.site.pid)
        stage.check(
            str(self.alice.home).encode() not in shown, "its environment leads to no home and no key of Alice's"
        )

    def the_main_job(self) -> None:
        """Students are enrolled; tokens go through the database and the cache."""
        stage = self.stage
        stage.step("Its main job: student records, whose social security numbers are Fernet tokens")
        for name, number in STUDENTS.items():
            self._enrols(name, number)
        first, again = (self.site.tells("/students/1/") for _ in range(2))
        stage.say(f"GET /students/1/ → {json.dumps(again)}")
        stage.check(first["ssn"] == "***-**-1120", "the record opens")
        stage.check((first["cached"], again["cached"]) == (False, True), "the second time its token is from the cache")
        self.old_tokens = self.data.tokens()
        stage.check(len(self.old_tokens) == len(STUDENTS), f"the database holds {len(self.old_tokens)} tokens")
        if self.redis:
            stage.check(self.redis.holds() == 1, "and Redis one of them")

    def a_look_up_and_a_document(self) -> None:
        """Who has this number, and a file that passes through the site and lies there encrypted."""
        stage = self.stage
        stage.step("A look-up by number, and a document")
        found = self.site.tells("/search/", {"ssn": "987 65 4321"})
        stage.say(f"POST /search/ 987 65 4321 → {json.dumps(found)}")
        stage.check([each["name"] for each in found["found"]] == ["Alan Turing"], "found, however it is written")
        status, said = self.site.asks("/students/", {"name": "Somebody", "ssn": "987654321"})
        stage.check(status == 400 and "already exists" in said, "nobody else is enrolled with the same number")
        self.scan = b"%PDF-1.7\n" + f"A birth certificate. {CERTIFICATE}\n".encode() * 20_000
        self.document = self.site.uploads("/students/1/documents/", "scan", "birth.pdf", self.scan)["document"]
        stage.say(f"POST /students/1/documents/ birth.pdf, {len(self.scan)} bytes → {self.document}")
        stage.check(self.site.downloads(self.document) == self.scan, "it comes back as it was")
        document = self.data.document()
        stage.check(
            CERTIFICATE.encode() not in document.read_bytes(), f"what lies there is ciphertext: {document.name}"
        )

    def a_signature(self) -> None:
        """RSA-PSS by the site."""
        stage = self.stage
        stage.step("A transcript, signed with the RSA key")
        status, signed = self.site.asks("/students/1/transcript/")
        stage.say(f"GET /students/1/transcript/ → {signed[:76]}…")
        claims = self.site.tells("/transcripts/", {"transcript": signed})
        stage.check(status == 200 and claims["name"] == "Ada Lovelace", f"it verifies: {json.dumps(claims)}")
        forged = ("A" if signed[0] != "A" else "B") + signed[1:]
        stage.check(self.site.asks("/transcripts/", {"transcript": forged})[0] == 400, "with one letter changed: 400")

    def a_rotation(self) -> None:
        """A new version while the site runs; then the stored tokens move to it."""
        stage = self.stage
        stage.step("The key is rotated while the site runs")
        self.alice.types(f"strongroom rotate {FILES} --now", lines=1)
        self.alice.types(f"strongroom rotate {RECORDS}")
        told = json.loads(self.alice.quietly("strongroom", "show", RECORDS, "--json"))
        takes_over = datetime.fromisoformat(told["next_change"]).timestamp()
        self._shares("Rotate student-records and student-files")
        self.web.types("git pull --quiet", lines=0)
        time.sleep(1.2)  # the site asks once a second whether a file has changed
        version = self.site.tells("/health/")["version"]
        if time.time() < takes_over:
            stage.check(version == 1, f"version 2 is here, and version 1 protects until {told['next_change']}")
        else:
            stage.say(f"(this machine needed more than the {PROPAGATION_S} s until version 2 took over)")
        time.sleep(max(0.0, takes_over - time.time()) + 1.2)
        protecting = self.site.tells("/health/")["version"]
        stage.check(protecting == 2 and self.site.lives, "at that moment version 2 took over, with no restart")
        for name, number in LATECOMERS.items():
            self._enrols(name, number)
        wanted = list({**STUDENTS, **LATECOMERS}.values())
        read = [self.site.tells(f"/students/{number}/")["ssn"] for number in range(1, len(wanted) + 1)]
        stage.check([ssn[-4:] for ssn in read] == [ssn[-4:] for ssn in wanted], "old and new records open")
        stage.say("and cryptography's own Fernet, with each version's key alone, says:")
        one, two = (lying.key_of(self._opened(), RECORDS, number) for number in (1, 2))
        new = [token for token in self.data.tokens() if token not in self.old_tokens]
        stage.check(
            all(lying.opens(one, t) and not lying.opens(two, t) for t in self.old_tokens),
            "the old tokens are version 1's",
        )
        stage.check(
            new and all(lying.opens(two, t) and not lying.opens(one, t) for t in new), "the new ones are version 2's"
        )
        self.web.types("python manage.py strongroom reencrypt --report")
        self.web.types("python manage.py strongroom reencrypt")
        moved = self.data.tokens()
        stage.check(all(lying.opens(two, t) for t in moved), f"all {len(moved)} tokens are version 2's now")
        stage.check(self.site.tells("/students/2/")["ssn"] == "***-**-4321", "and the site reads on")
        with self._opened() as keystore:
            second = keystore.show(FILES).version(2).key_id.to_bytes(4, "big")
        stage.check(self.data.document().read_bytes()[1:5] == second, "the document on the disk is version 2's, too")
        stage.check(self.site.downloads(self.document) == self.scan, "and comes back as it was")

    def a_second_admin(self) -> None:
        """Bob, with his own clone and home."""
        stage = self.stage
        stage.step("Bob becomes the second admin, and opens the store from his own clone and home")
        public = self.bob.quietly("gpg", "--batch", "--export", self.bobs_fingerprint)
        self.alice.quietly("gpg", "--batch", "--quiet", "--import", stdin=public)
        self.alice.types(f"strongroom admin add {self.bobs_fingerprint}")
        self._shares("Bob is an admin")
        self.bob.types(f"git clone --quiet {self.origin} registrar", lines=0)
        self.bob.directory = self.bob.home / "registrar"
        self.bob.environ |= {"STRONGROOM_PIN": self.pin}
        self.bob.types("strongroom list")
        done = self.bob.runs(["strongroom", "decrypt", RECORDS], stdin=self.data.tokens()[0])
        stage.check(
            done.stdout == STUDENTS["Ada Lovelace"].encode(), "he decrypts a token of the site (not shown here)"
        )
        self.alice.types("strongroom admin list")

    def the_original_postdeploy(self) -> None:
        """BlackBox's own loop writes registered files, and no root."""
        stage = self.stage
        stage.step("BlackBox's original postdeploy loop: it decrypts every registered file to the disk")
        self.alice.types(POSTDEPLOY)
        self.postdeployed = self.alice.directory / "config" / "database.yml"
        stage.check(self.password in self.postdeployed.read_text(), "the password file is there, in the clear")
        stray = [path.name for path in self.store.rglob("root.*") if path.suffix != ".gpg"]
        stage.check(not stray, "no root was written")

    def the_search(self) -> None:
        """Everything is searched for everything."""
        stage = self.stage
        stage.step("The search: every plaintext, in every place")
        with self._opened() as keystore:
            search.add_keys(self.plaintexts, keystore)
        names = self.plaintexts.names
        stage.say(f"{len(names)} plaintexts in {self.plaintexts.count} spellings (raw, hex, base64 at any offset):")
        stage.say("; ".join(names))
        expected = {str(self.postdeployed.relative_to(stage.place)): {"the database password"}}
        stage.check(self._look() == expected, "that is the file which postdeploy wrote; there is nothing else anywhere")
        self.postdeployed.unlink()
        stage.say("it is removed; once more:")
        stage.check(not self._look(), "nothing is found anywhere")

    def _look(self) -> Mapping[str, set[str]]:
        others = {"the site's arguments and environment": environment_of(self.site.pid)}
        if self.redis:
            others["Redis"] = self.redis.dump()
            if not any(token in others["Redis"] for token in self.old_tokens):
                raise UntrueError("the dump of Redis does not hold the token that the site cached there")
        found = search.look(self.plaintexts, self.stage.place, self.alice.environ, others)
        self.stage.say(f"searched {'; '.join(found.searched)}")
        for where, what in found.hits.items():
            self.stage.say(f"found {', '.join(sorted(what))} in {where}")
        return found.hits

    def _enrols(self, name: str, number: str) -> None:
        told = self.site.tells("/students/", {"name": name, "ssn": number})
        self.stage.say(f"POST /students/ {name}, ***-**-{number[-4:]} → student {told['student']}")

    def _opened(self) -> KeyStore:
        return open_store(self.store, environ=self.alice.environ)

    def _shares(self, message: str) -> None:
        self.alice.types(f"git add --all && git commit --quiet -m '{message}' && git push --quiet", lines=0)
